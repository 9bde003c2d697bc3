// The provider's side: APNs, FCM and Google's token endpoint, fast enough not to be what is measured.
package main

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// What came of each push, by its number.
type seen struct {
	first atomic.Int64 // Unix time in ns of its first arrival
	count atomic.Int32
}

type provider struct {
	mu         sync.Mutex
	seen       []seen
	epoch      int // of the tokens: pushes of an earlier run are not of this one
	order      map[string]int64
	jwts       map[string]bool
	conns      map[net.Conn]bool
	made       int
	requests   atomic.Int64
	under      atomic.Int64
	most       atomic.Int64
	twice      atomic.Int64
	swapped    atomic.Int64
	strangers  atomic.Int64
	delay      atomic.Int64 // ns
	errors     atomic.Bool  // 5 % 410, 2 % 429, 1 % 503, each on the first attempt
	goaway     atomic.Int64 // after so many answers
	down       atomic.Bool
	apps       sync.Map // topic -> *[]int64, how long each of its pushes took from being handed in
	bySequence bool
	last       atomic.Int64
}

func newProvider() *provider {
	return &provider{order: map[string]int64{}, jwts: map[string]bool{}, conns: map[net.Conn]bool{}}
}

// A listener that knows its connections, so that it can cut them.
type listener struct {
	net.Listener
	p *provider
}

type tracked struct {
	net.Conn
	p *provider
}

func (l listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if l.p.down.Load() {
			c.Close()
			continue
		}
		l.p.mu.Lock()
		l.p.conns[c] = true
		l.p.made++
		l.p.mu.Unlock()
		return tracked{c, l.p}, nil
	}
}

func (t tracked) Close() error {
	t.p.mu.Lock()
	delete(t.p.conns, t.Conn)
	t.p.mu.Unlock()
	return t.Conn.Close()
}

func (p *provider) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		c.Close()
	}
}

func (p *provider) serve(address, cert, key string, streams int) error {
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	config := &tls.Config{Certificates: []tls.Certificate{pair}, NextProtos: []string{"h2", "http/1.1"}}
	server := &http.Server{
		Handler: p, TLSConfig: config, HTTP2: &http.HTTP2Config{MaxConcurrentStreams: streams}, ErrorLog: quiet,
	}
	go server.ServeTLS(listener{l, p}, "", "")
	return nil
}

func (p *provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/token" {
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"access_token":"rig","expires_in":3600,"token_type":"Bearer"}`)
		return
	}
	now := time.Now().UnixNano()
	under := p.under.Add(1)
	defer p.under.Add(-1)
	for most := p.most.Load(); under > most && !p.most.CompareAndSwap(most, under); most = p.most.Load() {
	}
	body, _ := io.ReadAll(r.Body)
	number := p.requests.Add(1)
	p.remember(r.Header.Get("Authorization"))
	token := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
	fcm := strings.HasSuffix(r.URL.Path, ":send")
	if fcm {
		token = between(body, `"token":"`, '"')
	}
	attempt, index := p.arrived(token, body, now)
	if d := p.delay.Load(); d > 0 {
		time.Sleep(time.Duration(d))
	}
	if n := p.goaway.Load(); n > 0 && number%n == 0 {
		w.Header().Set("Connection", "close") // Go says GOAWAY for it
	}
	if p.errors.Load() && attempt == 1 {
		switch percent := index % 100; {
		case percent < 5:
			fail(w, 410, `{"reason":"Unregistered","timestamp":1}`)
			return
		case percent < 7:
			fail(w, 429, `{"reason":"TooManyRequests"}`)
			return
		case percent < 8:
			fail(w, 503, `{"reason":"InternalServerError"}`)
			return
		}
	}
	if fcm {
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"name":"projects/demo-project/messages/0:1"}`)
		return
	}
	w.WriteHeader(200)
}

func fail(w http.ResponseWriter, status int, body string) {
	w.WriteHeader(status)
	io.WriteString(w, body)
}

func between(body []byte, start string, end byte) string {
	at := bytes.Index(body, []byte(start))
	if at < 0 {
		return ""
	}
	rest := body[at+len(start):]
	return string(rest[:bytes.IndexByte(rest, end)])
}

// Tokens end in the run (4 hex digits) and the number of the push (8); texts may hold "#" and a number instead.
func (p *provider) arrived(token string, body []byte, now int64) (int32, int) {
	p.last.Store(now)
	if len(token) < 12 {
		p.strangers.Add(1)
		return 1, 0
	}
	epoch, _ := strconv.ParseInt(token[len(token)-12:len(token)-8], 16, 64)
	number, err := strconv.ParseInt(token[len(token)-8:], 16, 64)
	p.mu.Lock()
	seen, current, bySequence := p.seen, p.epoch, p.bySequence
	p.mu.Unlock()
	if bySequence {
		number, err = strconv.ParseInt(between(body, "#", ';'), 10, 64)
	}
	if err != nil || int(epoch) != current || number < 0 || int(number) >= len(seen) {
		p.strangers.Add(1)
		return 1, 0
	}
	if bySequence {
		p.mu.Lock()
		if before, ok := p.order[token]; ok && number < before {
			p.swapped.Add(1)
		} else {
			p.order[token] = number
		}
		p.mu.Unlock()
	}
	one := &seen[number]
	one.first.CompareAndSwap(0, now)
	count := one.count.Add(1)
	if count > 1 {
		p.twice.Add(1)
	}
	return count, int(number)
}

func (p *provider) remember(authorization string) {
	p.mu.Lock()
	if !p.jwts[authorization] {
		p.jwts[authorization] = true
	}
	p.mu.Unlock()
}

// Begin a run of so many pushes.
func (p *provider) reset(count int, bySequence bool) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.epoch = (p.epoch + 1) & 0xffff
	p.seen = make([]seen, count)
	p.order = map[string]int64{}
	p.jwts = map[string]bool{}
	p.bySequence = bySequence
	p.made = len(p.conns)
	for _, n := range []*atomic.Int64{&p.requests, &p.most, &p.twice, &p.swapped, &p.strangers} {
		n.Store(0)
	}
	return p.epoch
}

func (p *provider) stats() map[string]any {
	p.mu.Lock()
	defer p.mu.Unlock()
	arrived := 0
	for i := range p.seen {
		if p.seen[i].count.Load() > 0 {
			arrived++
		}
	}
	return map[string]any{
		"requests": p.requests.Load(), "arrived": arrived, "twice": p.twice.Load(), "swapped": p.swapped.Load(),
		"strangers": p.strangers.Load(), "connections": p.made, "jwts": len(p.jwts), "most_streams": p.most.Load(),
	}
}

func (p *provider) String() string { return fmt.Sprint(p.stats()) }
