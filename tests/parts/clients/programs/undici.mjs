// Arguments: METHOD URL and so on; `request` of the npm package, with a ProxyAgent.
import {channel} from 'node:diagnostics_channel';
import {ProxyAgent, request} from 'undici';

let version = '?';
channel('undici:client:connected').subscribe(({socket}) => {
  version = socket.alpnProtocol === 'h2' ? '2.0' : '1.1';
});
const dispatcher = new ProxyAgent(process.env.HTTPS_PROXY);
const words = process.argv.slice(2);
for (let at = 0; at < words.length; at += 2) {
  const method = words[at];
  const more = method === 'POST' ? {headers: {'Content-Type': 'application/json'}, body: '{"name": "Bea"}'} : {};
  const answer = await request(words[at + 1], {method, dispatcher, ...more});
  const head = Object.entries(answer.headers).map(([name, value]) => `${name}: ${value}\n`).join('');
  process.stdout.write(`HTTP/${version} ${answer.statusCode}\n${head}\n`);
  for await (const piece of answer.body) process.stdout.write(piece);
}
