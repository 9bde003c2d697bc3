// What the provider says and remembers: APNs, FCM and the token endpoint, fast enough not to be what is measured.
package main

import (
	"bytes"
	"net"
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
	taken atomic.Bool // or refused for good: no further attempt is due
}

// The pushes of one run.
type epoch struct {
	number     int // in the tokens: pushes of an earlier run are not of this one
	seen       []seen
	bySequence bool
	mu         sync.Mutex
	order      map[string]int64
}

type provider struct {
	doors   doors
	epoch   atomic.Pointer[epoch]
	jwts    sync.Map
	delay   atomic.Int64 // ns
	errors  atomic.Bool  // 5 % 410, 2 % 429, 1 % 503, each on the first attempt
	goaway  atomic.Int64 // after so many answers
	under   atomic.Int64
	last    atomic.Int64 // Unix time in ns of the last arrival
	arrived atomic.Int64

	requests, most, twice, swapped, strangers atomic.Int64
}

func newProvider() *provider {
	p := &provider{doors: doors{conns: map[net.Conn]bool{}}}
	p.epoch.Store(&epoch{})
	return p
}

// A request has begun.
func (p *provider) begun() {
	under := p.under.Add(1)
	for most := p.most.Load(); under > most && !p.most.CompareAndSwap(most, under); most = p.most.Load() {
	}
}

// Decide on a whole request; whether a GOAWAY is due with its answer.
func (p *provider) decide(s *stream, body []byte) (answer, bool) {
	if strings.HasSuffix(s.path, "/token") {
		return answer{status: 200, body: tokenBody}, false
	}
	number, n := p.requests.Add(1), p.goaway.Load()
	goes := n > 0 && number%n == 0
	var token []byte
	fcm := strings.HasSuffix(s.path, ":send")
	if fcm {
		token = between(body, `"token":"`, '"')
	} else {
		token = []byte(s.path[strings.LastIndexByte(s.path, '/')+1:])
	}
	a := answer{status: 200, apns: !fcm, id: s.apns}
	if one, index := p.arrival(token, body); one != nil {
		again := one.taken.Load()
		if again {
			p.twice.Add(1)
		}
		if one.count.Add(1) == 1 && p.errors.Load() {
			a.status, a.body = failure(index % 100)
		}
		if a.status == 200 || a.status == 410 {
			one.taken.Store(true)
		}
	}
	if fcm && a.status == 200 {
		a.body = fcmBody
	}
	return a, goes
}

func failure(percent int) (int, string) {
	switch {
	case percent < 5:
		return 410, `{"reason":"Unregistered","timestamp":1}`
	case percent < 7:
		return 429, `{"reason":"TooManyRequests"}`
	case percent < 8:
		return 503, `{"reason":"InternalServerError"}`
	}
	return 200, ""
}

func between(body []byte, start string, end byte) []byte {
	at := bytes.Index(body, []byte(start))
	if at < 0 {
		return nil
	}
	rest := body[at+len(start):]
	return rest[:max(0, bytes.IndexByte(rest, end))]
}

// Tokens end in the run (4 hex digits) and the number of the push (8); texts may hold "#" and a number instead.
func (p *provider) arrival(token, body []byte) (*seen, int) {
	now, e := time.Now().UnixNano(), p.epoch.Load()
	p.last.Store(now)
	if len(token) < 12 {
		p.strangers.Add(1)
		return nil, 0
	}
	run, good := hexadecimal(token[len(token)-12 : len(token)-8])
	number, ok := hexadecimal(token[len(token)-8:])
	ok = ok && good && int(run) == e.number
	if ok && e.bySequence {
		found, err := strconv.ParseInt(string(between(body, "#", ';')), 10, 64)
		if number, ok = found, err == nil; ok {
			e.note(string(token), number, &p.swapped)
		}
	}
	if !ok || number < 0 || int(number) >= len(e.seen) {
		p.strangers.Add(1)
		return nil, 0
	}
	one := &e.seen[number]
	if one.first.CompareAndSwap(0, now) {
		p.arrived.Add(1)
	}
	return one, int(number)
}

// Count a push that overtook another one of its token.
func (e *epoch) note(token string, number int64, swapped *atomic.Int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if before, ok := e.order[token]; ok && number < before {
		swapped.Add(1)
	} else {
		e.order[token] = number
	}
}

func hexadecimal(digits []byte) (int64, bool) {
	value := int64(0)
	for _, digit := range digits {
		switch {
		case digit >= '0' && digit <= '9':
			value = value<<4 | int64(digit-'0')
		case digit >= 'a' && digit <= 'f':
			value = value<<4 | int64(digit-'a'+10)
		default:
			return 0, false
		}
	}
	return value, true
}

func (p *provider) remember(authorization string) {
	if authorization != "" {
		p.jwts.Store(authorization, true)
	}
}

// Begin a run of so many pushes.
func (p *provider) reset(count int, bySequence bool) *epoch {
	e := &epoch{number: (p.epoch.Load().number + 1) & 0xffff, seen: make([]seen, count), bySequence: bySequence}
	e.order = map[string]int64{}
	p.epoch.Store(e)
	p.jwts.Clear()
	p.doors.count(true)
	for _, n := range []*atomic.Int64{&p.requests, &p.most, &p.twice, &p.swapped, &p.strangers, &p.arrived} {
		n.Store(0)
	}
	return e
}

func (p *provider) stats() map[string]any {
	jwts := 0
	p.jwts.Range(func(any, any) bool { jwts++; return true })
	return map[string]any{
		"requests": p.requests.Load(), "arrived": p.arrived.Load(), "twice": p.twice.Load(),
		"swapped": p.swapped.Load(), "strangers": p.strangers.Load(), "connections": p.doors.count(false),
		"jwts": jwts, "most_streams": p.most.Load(),
	}
}
