// The publisher's side: raw HTTP/1.1 connections, each with one request at a time.
package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"sort"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// What one run sends.
type plan struct {
	Address     string  `json:"address"`
	Connections int     `json:"connections"`
	Notes       int     `json:"notes"`    // notifications in a request
	Tokens      int     `json:"tokens"`   // in a notification
	Seconds     float64 `json:"seconds"`  // of sending; a warm-up before it is not counted
	WarmUp      float64 `json:"warm_up"`  // seconds
	Rate        float64 `json:"rate"`     // requests a second, 0: as fast as answers come
	Most        int     `json:"most"`     // pushes, no more are sent
	Platform    int     `json:"platform"` // gorush's number
	Topic       string  `json:"topic"`
	Few         int     `json:"few"` // all pushes go to so many tokens, in order; 0: a token each
	Key         string  `json:"key"`
	App         string  `json:"app"`
	Patience    float64 `json:"patience"`  // seconds to wait for what was accepted
	Count       bool    `json:"count"`     // pushes of this run are counted; otherwise they are somebody else's flood
	Reconnect   bool    `json:"reconnect"` // go on after the other side was cut
}

type sent struct {
	at, answered atomic.Int64 // ns
	status       atomic.Int32
}

type run struct {
	plan
	p        *provider
	epoch    int
	pushes   []sent
	next     atomic.Int64 // request
	per      int
	started  time.Time
	refused  atomic.Int64
	broken   atomic.Int64
	requests atomic.Int64
	from, to int64
}

func (p *provider) load(plan plan) map[string]any {
	r := &run{plan: plan, p: p, per: plan.Notes * plan.Tokens}
	if plan.Count {
		r.epoch = p.reset(plan.Most, plan.Few > 0)
	}
	r.pushes = make([]sent, plan.Most)
	r.started = time.Now()
	r.from = r.started.Add(time.Duration(plan.WarmUp * 1e9)).UnixNano()
	r.to = r.started.Add(time.Duration((plan.WarmUp + plan.Seconds) * 1e9)).UnixNano()
	var group sync.WaitGroup
	for i := 0; i < plan.Connections; i++ {
		group.Add(1)
		go func() { defer group.Done(); r.client() }()
	}
	group.Wait()
	finished := time.Now()
	if plan.Count {
		r.wait(plan.Patience)
	}
	return r.result(finished)
}

// Wait until everything that was accepted has arrived, or nothing more comes.
func (r *run) wait(patience float64) {
	end := time.Now().Add(time.Duration(patience * 1e9))
	for time.Now().Before(end) {
		if r.missing() == 0 {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (r *run) missing() int {
	missing := 0
	for i := range r.pushes {
		if r.pushes[i].status.Load() == 200 && r.p.seen[i].count.Load() == 0 {
			missing++
		}
	}
	return missing
}

func (r *run) client() {
	var c net.Conn
	var reader *bufio.Reader
	for {
		request := r.next.Add(1) - 1
		first := int(request) * r.per
		now := time.Now()
		if first+r.per > len(r.pushes) || now.UnixNano() >= r.to {
			break
		}
		if r.Rate > 0 {
			due := r.started.Add(time.Duration(float64(request) / r.Rate * 1e9))
			if due.UnixNano() >= r.to {
				break
			}
			time.Sleep(time.Until(due))
			now = due // waiting for a free connection is part of what the caller waits
		}
		for c == nil {
			made, err := net.Dial("tcp", r.Address)
			if err == nil {
				c, reader = made, bufio.NewReader(made)
			} else if !r.Reconnect || time.Now().UnixNano() >= r.to {
				r.broken.Add(1)
				return
			} else {
				time.Sleep(10 * time.Millisecond)
			}
		}
		for i := first; i < first+r.per; i++ {
			r.pushes[i].at.Store(now.UnixNano())
		}
		status, err := exchange(c, reader, r.request(first))
		r.requests.Add(1)
		answered := time.Now().UnixNano()
		for i := first; i < first+r.per; i++ {
			r.pushes[i].status.Store(int32(status))
			r.pushes[i].answered.Store(answered)
		}
		if err != nil {
			r.broken.Add(1)
			c.Close()
			c = nil
			if !r.Reconnect {
				break
			}
		} else if status != 200 {
			r.refused.Add(1)
		}
	}
	if c != nil {
		c.Close()
	}
}

func exchange(c net.Conn, reader *bufio.Reader, request []byte) (int, error) {
	c.SetDeadline(time.Now().Add(60 * time.Second))
	if _, err := c.Write(request); err != nil {
		return 0, err
	}
	line, err := reader.ReadSlice('\n')
	if err != nil || len(line) < 12 {
		return 0, fmt.Errorf("no answer")
	}
	status, _ := strconv.Atoi(string(line[9:12]))
	length := 0
	for {
		line, err = reader.ReadSlice('\n')
		if err != nil {
			return 0, err
		}
		if len(line) <= 2 {
			break
		}
		if len(line) > 16 && bytes.EqualFold(line[:15], []byte("content-length:")) {
			length, _ = strconv.Atoi(string(bytes.TrimSpace(line[15:])))
		}
	}
	_, err = io.CopyN(io.Discard, reader, int64(length))
	return status, err
}

func (r *run) request(first int) []byte {
	var body bytes.Buffer
	body.WriteString(`{"notifications":[`)
	for n := 0; n < r.Notes; n++ {
		if n > 0 {
			body.WriteByte(',')
		}
		body.WriteString(`{"tokens":[`)
		for t := 0; t < r.Tokens; t++ {
			if t > 0 {
				body.WriteByte(',')
			}
			number := first + n*r.Tokens + t
			if r.Few > 0 {
				number %= r.Few
			}
			fmt.Fprintf(&body, `"aaaa%048d%04x%08x"`, 0, r.epoch, number)
		}
		fmt.Fprintf(&body, `],"platform":%d,"message":"New message #%d;","title":"Chat"`, r.Platform, first+n*r.Tokens)
		if r.Platform == 1 {
			fmt.Fprintf(&body, `,"topic":"%s"`, r.Topic)
		}
		body.WriteByte('}')
	}
	body.WriteString(`]}`)
	var whole bytes.Buffer
	fmt.Fprintf(&whole, "POST /api/push HTTP/1.1\r\nHost: gateway\r\nContent-Type: application/json\r\nContent-Length: %d\r\n", body.Len())
	if r.Key != "" {
		fmt.Fprintf(&whole, "Authorization: Bearer %s\r\n", r.Key)
	}
	if r.App != "" {
		fmt.Fprintf(&whole, "X-Hushbell-App: %s\r\n", r.App)
	}
	whole.WriteString("\r\n")
	whole.Write(body.Bytes())
	return whole.Bytes()
}

func (r *run) result(finished time.Time) map[string]any {
	var answers, arrivals []float64
	accepted, all, measured := 0, 0, 0
	var last int64
	for i := range r.pushes {
		one := &r.pushes[i]
		if one.at.Load() == 0 {
			continue
		}
		all++
		if one.status.Load() != 200 {
			continue
		}
		accepted++
		var arrived int64
		if r.Count {
			arrived = r.p.seen[i].first.Load()
			last = max(last, arrived)
		}
		if one.at.Load() < r.from || one.at.Load() >= r.to {
			continue
		}
		measured++
		answers = append(answers, float64(one.answered.Load()-one.at.Load())/1e6)
		if arrived > 0 {
			arrivals = append(arrivals, float64(arrived-one.at.Load())/1e6)
		}
	}
	result := map[string]any{
		"pushes": all, "accepted": accepted, "measured": measured, "requests": r.requests.Load(),
		"refused": r.refused.Load(), "broken": r.broken.Load(),
		"seconds": finished.Sub(r.started).Seconds(), "until_last": float64(last-r.started.UnixNano()) / 1e9,
		"answer_p50": percentile(answers, 50), "answer_p99": percentile(answers, 99),
		"arrival_p50": percentile(arrivals, 50), "arrival_p99": percentile(arrivals, 99),
	}
	if r.Count {
		result["lost"] = r.missing()
		for name, value := range r.p.stats() {
			result[name] = value
		}
	}
	return result
}

func percentile(values []float64, percent int) float64 {
	if len(values) == 0 {
		return 0
	}
	sort.Float64s(values)
	return values[min(len(values)-1, len(values)*percent/100)]
}
