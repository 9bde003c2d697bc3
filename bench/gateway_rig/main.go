// The rig of bench/gateway.py: a provider and a publisher in one process, so that one clock sees both ends.
//
// Commands are JSON lines on standard input, each answered by one line: {"do":"load",...}, {"do":"set","delay_ms":50},
// {"do":"down"}, {"do":"up"}, {"do":"stats"}, {"do":"hook","address":"127.0.0.1:0","delay_ms":0}.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"
)

var quiet = log.New(io.Discard, "", 0)

type command struct {
	plan
	Do     string `json:"do"`
	Delay  int64  `json:"delay_ms"`
	Errors bool   `json:"errors"`
	Goaway int64  `json:"goaway"`
	Hook   string `json:"hook"`
	Name   string `json:"name"` // of a run that others go beside
}

func main() {
	address := flag.String("tls", "127.0.0.1:443", "where the provider listens")
	cert := flag.String("cert", "cert.pem", "")
	key := flag.String("key", "key.pem", "")
	streams := flag.Int("streams", 1000, "side by side on one connection")
	flag.Parse()
	p := newProvider()
	if err := p.serve(*address, *cert, *key, *streams); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	var told atomic.Int64
	say(map[string]any{"ready": true})
	lines := bufio.NewScanner(os.Stdin)
	running := map[string]chan map[string]any{}
	for lines.Scan() {
		var c command
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			say(map[string]any{"error": err.Error()})
			continue
		}
		switch c.Do {
		case "load":
			say(p.load(c.plan))
		case "begin": // and "end" for its result: two runs side by side
			plan := c.plan
			end := make(chan map[string]any, 1)
			running[c.Name] = end
			go func() { end <- p.load(plan) }()
			say(map[string]any{})
		case "end":
			say(<-running[c.Name])
		case "set":
			p.delay.Store(c.Delay * 1e6)
			p.errors.Store(c.Errors)
			p.goaway.Store(c.Goaway)
			say(map[string]any{})
		case "down":
			p.doors.shut(true)
			say(map[string]any{})
		case "up":
			p.doors.shut(false)
			say(map[string]any{})
		case "stats":
			stats := p.stats()
			stats["told"] = told.Load()
			say(stats)
		case "hook":
			if err := hook(c.Hook, time.Duration(c.Delay)*time.Millisecond, &told); err != nil {
				say(map[string]any{"error": err.Error()})
				continue
			}
			say(map[string]any{})
		}
	}
}

// Answer whatever a gateway tells, after a while, and count it.
func hook(address string, delay time.Duration, told *atomic.Int64) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	go http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		time.Sleep(delay)
		told.Add(1)
	}))
	return nil
}

func say(value map[string]any) {
	line, _ := json.Marshal(value)
	os.Stdout.Write(append(line, '\n'))
}
