// Arguments: METHOD URL and so on; one client.
import java.io.InputStream;
import java.net.Authenticator;
import java.net.PasswordAuthentication;
import java.net.ProxySelector;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;

public class Agent {
    public static void main(String[] words) throws Exception {
        String[] named = URI.create(System.getenv("HTTPS_PROXY")).getUserInfo().split(":", 2);
        HttpClient client = HttpClient.newBuilder()
            .proxy(ProxySelector.getDefault())
            .authenticator(new Authenticator() {
                @Override
                protected PasswordAuthentication getPasswordAuthentication() {
                    return new PasswordAuthentication(named[0], named[1].toCharArray());
                }
            })
            .build();
        for (int at = 0; at + 1 < words.length; at += 2) {
            HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(words[at + 1]));
            if (words[at].equals("POST")) {
                request.header("Content-Type", "application/json").POST(BodyPublishers.ofString("{\"name\": \"Bea\"}"));
            } else {
                request.method(words[at], BodyPublishers.noBody());
            }
            var answer = client.send(request.build(), BodyHandlers.ofInputStream());
            System.out.println((answer.version() == HttpClient.Version.HTTP_2 ? "HTTP/2.0 " : "HTTP/1.1 ") + answer.statusCode());
            answer.headers().map().forEach((name, values) -> System.out.println(name + ": " + values.get(0)));
            System.out.println();
            InputStream body = answer.body();
            byte[] piece = new byte[4096];
            for (int read = body.read(piece); read >= 0; read = body.read(piece)) {
                System.out.write(piece, 0, read);
                System.out.flush();
            }
        }
    }
}
