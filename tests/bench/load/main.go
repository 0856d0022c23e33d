// The load tool of scripts/bench: a target that answers at once, and clients that ask without pause.
//
//	load target -cert FILE -key FILE            prints its address, serves until stdin ends
//	load run -address H:P -ca FILE [-proxy H:P -token T] -connections N -seconds S [-tunnel]
//
// One goroutine is one client on one connection. With -tunnel each request has a connection of
// its own: TCP, CONNECT, TLS, one GET. Prints one JSON object.
package main

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sort"
	"strings"
	"sync"
	"time"
)

func main() {
	if len(os.Args) < 2 {
		fail(fmt.Errorf("say `target` or `run`"))
	}
	switch os.Args[1] {
	case "target":
		target(os.Args[2:])
	case "run":
		run(os.Args[2:])
	default:
		fail(fmt.Errorf("unknown: %s", os.Args[1]))
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "load:", err)
	os.Exit(1)
}

// answer is 1 KB of JSON with what the bench's policy masks.
func answer() []byte {
	body := `{"id":17,"name":"Ada Example","email":"ada@example.test","iban":"DE02120300000000202051","balance":12.50,"orders":[`
	for i := 0; len(body) < 980; i++ {
		if i > 0 {
			body += ","
		}
		body += fmt.Sprintf(`{"order":%d,"total":%d.95,"open":true,"note":"as agreed"}`, 1000+i, i*7)
	}
	return []byte(body + `]}`)
}

func target(arguments []string) {
	flags := flag.NewFlagSet("target", flag.ExitOnError)
	cert := flags.String("cert", "", "certificate")
	key := flags.String("key", "", "key")
	flags.Parse(arguments)
	pair, err := tls.LoadX509KeyPair(*cert, *key)
	if err != nil {
		fail(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fail(err)
	}
	body := answer()
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		w.Write(body)
	})}
	settings := &tls.Config{Certificates: []tls.Certificate{pair}, NextProtos: []string{"http/1.1"}}
	fmt.Println(listener.Addr())
	go server.Serve(tls.NewListener(listener, settings))
	io.Copy(io.Discard, os.Stdin)
}

type client struct {
	address, proxy, token string
	trust                 *x509.CertPool
}

func (c *client) open() (net.Conn, *bufio.Reader, error) {
	first := c.address
	if c.proxy != "" {
		first = c.proxy
	}
	plain, err := net.DialTimeout("tcp", first, 10*time.Second)
	if err != nil {
		return nil, nil, err
	}
	plain.SetDeadline(time.Now().Add(60 * time.Second))
	if c.proxy != "" {
		credentials := base64.StdEncoding.EncodeToString([]byte("bench:" + c.token))
		fmt.Fprintf(plain, "CONNECT %s HTTP/1.1\r\nHost: %s\r\nProxy-Authorization: Basic %s\r\n\r\n", c.address, c.address, credentials)
		got, err := http.ReadResponse(bufio.NewReader(plain), &http.Request{Method: "CONNECT"})
		if err != nil {
			return nil, nil, err
		}
		if got.StatusCode != 200 {
			return nil, nil, fmt.Errorf("CONNECT: %s", got.Status)
		}
	}
	host, _, _ := strings.Cut(c.address, ":")
	secure := tls.Client(plain, &tls.Config{RootCAs: c.trust, ServerName: host})
	if err := secure.Handshake(); err != nil {
		plain.Close()
		return nil, nil, err
	}
	return secure, bufio.NewReader(secure), nil
}

func (c *client) ask(to net.Conn, from *bufio.Reader) error {
	_, err := fmt.Fprintf(to, "GET /v1/customers/17?page=2 HTTP/1.1\r\nHost: %s\r\nAccept: application/json\r\nUser-Agent: bench\r\n\r\n", c.address)
	if err != nil {
		return err
	}
	got, err := http.ReadResponse(from, nil)
	if err != nil {
		return err
	}
	size, err := io.Copy(io.Discard, got.Body)
	if err != nil {
		return err
	}
	if got.StatusCode != 200 || size < 900 {
		return fmt.Errorf("answer %s of %d bytes", got.Status, size)
	}
	return nil
}

func (c *client) work(until time.Time, most int, tunnel bool) ([]time.Duration, error) {
	var took []time.Duration
	var to net.Conn
	var from *bufio.Reader
	var err error
	for time.Now().Before(until) && (most == 0 || len(took) < most) {
		begun := time.Now()
		if to == nil || tunnel {
			if to, from, err = c.open(); err != nil {
				return took, err
			}
			if !tunnel {
				begun = time.Now()
			}
		}
		to.SetDeadline(time.Now().Add(60 * time.Second))
		if err = c.ask(to, from); err != nil {
			return took, err
		}
		if tunnel {
			to.Close()
		}
		took = append(took, time.Since(begun))
	}
	if to != nil {
		to.Close()
	}
	return took, nil
}

func run(arguments []string) {
	flags := flag.NewFlagSet("run", flag.ExitOnError)
	address := flags.String("address", "", "host and port of the target")
	proxy := flags.String("proxy", "", "host and port of the proxy, if any")
	token := flags.String("token", "", "password for the proxy")
	ca := flags.String("ca", "", "authorities to trust")
	connections := flags.Int("connections", 1, "clients at once")
	seconds := flags.Float64("seconds", 2, "for how long")
	requests := flags.Int("requests", 0, "requests of each client at most; 0: no bound")
	tunnel := flags.Bool("tunnel", false, "a new connection for each request")
	flags.Parse(arguments)
	pem, err := os.ReadFile(*ca)
	if err != nil {
		fail(err)
	}
	trust := x509.NewCertPool()
	trust.AppendCertsFromPEM(pem)
	c := &client{*address, *proxy, *token, trust}

	var all []time.Duration
	var first error
	var lock sync.Mutex
	var waiting sync.WaitGroup
	begun := time.Now()
	until := begun.Add(time.Duration(*seconds * float64(time.Second)))
	for range *connections {
		waiting.Add(1)
		go func() {
			defer waiting.Done()
			took, err := c.work(until, *requests, *tunnel)
			lock.Lock()
			defer lock.Unlock()
			all = append(all, took...)
			if err != nil && first == nil {
				first = err
			}
		}()
	}
	waiting.Wait()
	elapsed := time.Since(begun).Seconds()
	if first != nil {
		fail(first)
	}
	sort.Slice(all, func(i, j int) bool { return all[i] < all[j] })
	at := func(share float64) float64 {
		if len(all) == 0 {
			return 0
		}
		return float64(all[min(int(share*float64(len(all))), len(all)-1)].Microseconds()) / 1000
	}
	json.NewEncoder(os.Stdout).Encode(map[string]any{
		"requests": len(all), "seconds": elapsed, "per_second": float64(len(all)) / elapsed, "p50_ms": at(0.5), "p99_ms": at(0.99),
	})
}
