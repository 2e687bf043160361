// A client of the SPIFFE Workload API by go-spiffe, for test/e2e/identity-clients.test.ts. It is built outside of the project:
//
//	mkdir /tmp/go-spiffe && cp main.go /tmp/go-spiffe && cd /tmp/go-spiffe
//	go mod init client && go get github.com/spiffe/go-spiffe/v2@v2.4.0 && go mod tidy && go build -o client .
//
// Events are lines of JSON on stdout. It ends when its standard input does.
package main

import (
	"context"
	"encoding/json"
	"io"
	"os"

	"github.com/spiffe/go-spiffe/v2/svid/jwtsvid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
	"github.com/spiffe/go-spiffe/v2/workloadapi"
)

func main() {
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	client, err := workloadapi.New(ctx)
	fail(err)
	defer client.Close()
	tokens(ctx, client)
	_ = client.WatchX509Context(ctx, watcher{})
}

type watcher struct{}

// OnX509ContextUpdate verifies what has come as a peer would.
func (watcher) OnX509ContextUpdate(update *workloadapi.X509Context) {
	svid := update.DefaultSVID()
	id, _, err := x509svid.Verify(svid.Certificates, update.Bundles)
	fail(err)
	tell(map[string]any{"event": "x509", "id": id.String(), "serial": svid.Certificates[0].SerialNumber.Text(16)})
}

func (watcher) OnX509ContextWatchError(err error) {
	tell(map[string]any{"event": "error", "message": err.Error()})
}

func tokens(ctx context.Context, client *workloadapi.Client) {
	svid, err := client.FetchJWTSVID(ctx, jwtsvid.Params{Audience: "reports"})
	fail(err)
	bundles, err := client.FetchJWTBundles(ctx)
	fail(err)
	own, err := jwtsvid.ParseAndValidate(svid.Marshal(), bundles, []string{"reports"})
	fail(err)
	theirs, err := client.ValidateJWTSVID(ctx, svid.Marshal(), "reports")
	fail(err)
	_, refusal := client.ValidateJWTSVID(ctx, svid.Marshal(), "payments")
	tell(map[string]any{"event": "jwt", "own": own.ID.String(), "theirs": theirs.ID.String(), "refused": refusal != nil})
}

func tell(event map[string]any) {
	fail(json.NewEncoder(os.Stdout).Encode(event))
}

func fail(err error) {
	if err != nil {
		tell(map[string]any{"event": "failed", "message": err.Error()})
		os.Exit(1)
	}
}
