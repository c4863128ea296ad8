// Command nulls3 serves S3 without storing anything: the speed of light that
// numbers of a real server are read against. It checks no signature; listen on
// a loopback address only.
package main

import (
	"context"
	"errors"
	"flag"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/undercroft/undercroft/bench/nullserver"
)

func main() {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	listen := flag.String("listen", "127.0.0.1:9002", "address to serve on")
	work := flag.String("work", string(nullserver.Discard), "what to do with a body: discard or md5")
	flag.Parse()
	if w := nullserver.Work(*work); w != nullserver.Discard && w != nullserver.MD5 {
		log.Error("unknown work", slog.String("work", *work))
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	srv := &http.Server{Addr: *listen, Handler: nullserver.New(nullserver.Work(*work)), ReadHeaderTimeout: time.Minute}
	context.AfterFunc(ctx, func() { _ = srv.Close() })
	log.Info("serving", slog.String("address", *listen))
	if err := srv.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		log.Error("serve", slog.Any("error", err))
		os.Exit(1)
	}
}
