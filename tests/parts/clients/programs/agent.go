// Arguments: METHOD URL and so on; the default client.
package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
)

func main() {
	for at := 1; at+1 < len(os.Args); at += 2 {
		var body io.Reader
		if os.Args[at] == "POST" {
			body = strings.NewReader(`{"name": "Bea"}`)
		}
		request, err := http.NewRequest(os.Args[at], os.Args[at+1], body)
		if err == nil && body != nil {
			request.Header.Set("Content-Type", "application/json")
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Println(answer.Proto, answer.StatusCode)
		answer.Header.Write(os.Stdout)
		fmt.Println()
		if _, err = io.Copy(os.Stdout, answer.Body); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		answer.Body.Close()
	}
}
