// Arguments: METHOD URL and so on; the global fetch. The version of HTTP is that of the last connection made.
import {channel} from 'node:diagnostics_channel';

let version = '?';
channel('undici:client:connected').subscribe(({socket}) => {
  version = socket.alpnProtocol === 'h2' ? '2.0' : '1.1';
});
const words = process.argv.slice(2);
for (let at = 0; at < words.length; at += 2) {
  const method = words[at];
  const more = method === 'POST' ? {headers: {'Content-Type': 'application/json'}, body: '{"name": "Bea"}'} : {};
  const answer = await fetch(words[at + 1], {method, ...more});
  const head = [...answer.headers].map(([name, value]) => `${name}: ${value}\n`).join('');
  process.stdout.write(`HTTP/${version} ${answer.status}\n${head}\n`);
  for await (const piece of answer.body) process.stdout.write(piece);
}
