// A backend that says on stdout what net/http took for requests, one JSON object a line; the first line is its port.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
)

type seen struct {
	Method string `json:"method"`
	URL    string `json:"url"`
	Host   string `json:"host"`
	Body   string `json:"body"`
}

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	out := json.NewEncoder(os.Stdout)
	server := &http.Server{
		DisableGeneralOptionsHandler: true,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return
			}
			_ = out.Encode(seen{r.Method, r.RequestURI, r.Host, string(body)})
			_, _ = io.WriteString(w, "ok")
		}),
	}
	_ = server.Serve(listener)
}
