// The publisher's side: raw HTTP/1.1 connections, each with one request at a time.
package main

import (
	"net"
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
	Still       float64 `json:"still"`     // seconds without an arrival after which nothing more is waited for
	Count       bool    `json:"count"`     // pushes of this run are counted; otherwise they are somebody else's flood
	Reconnect   bool    `json:"reconnect"` // go on after the other side was cut
}

// One request.
type sent struct {
	at, answered atomic.Int64 // ns
	status       atomic.Int32
	listed       int // pushes that the answer says have failed
}

type run struct {
	plan
	p        *provider
	epoch    *epoch
	sent     []sent
	next     atomic.Int64 // request
	per      int
	started  time.Time
	refused  atomic.Int64
	broken   atomic.Int64
	from, to int64
	cutShort int
}

func (p *provider) load(plan plan) map[string]any {
	r := &run{plan: plan, p: p, per: plan.Notes * plan.Tokens, epoch: &epoch{}}
	if plan.Count {
		r.epoch = p.reset(plan.Most, plan.Few > 0)
	}
	r.sent = make([]sent, plan.Most/r.per)
	r.started = time.Now()
	r.from = r.started.Add(time.Duration(plan.WarmUp * 1e9)).UnixNano()
	r.to = r.started.Add(time.Duration((plan.WarmUp + plan.Seconds) * 1e9)).UnixNano()
	var group sync.WaitGroup
	for i := 0; i < plan.Connections; i++ {
		group.Add(1)
		go func() { defer group.Done(); r.publish() }()
	}
	group.Wait()
	finished := time.Now()
	if plan.Count {
		r.cutShort = r.wait(plan.Patience)
	}
	return r.result(finished)
}

// Wait until everything that was accepted was taken, or nothing more comes; 1 if it still came when patience ended.
func (r *run) wait(patience float64) int {
	end := time.Now().Add(time.Duration(patience * 1e9))
	begun := time.Now().UnixNano()
	for first := 0; time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if first = r.missing(first); first < 0 {
			return 0
		}
		if time.Now().UnixNano()-max(begun, r.p.last.Load()) > int64(r.Still*1e9) {
			return 0
		}
	}
	return 1
}

// The first request from this one on of which something is missing, or -1.
func (r *run) missing(first int) int {
	for request := first; request < r.used(); request++ {
		if r.lost(request) > 0 {
			return request
		}
	}
	return -1
}

// How many pushes of a request were accepted and not taken by the provider.
func (r *run) lost(request int) int {
	if r.sent[request].status.Load() != 200 {
		return 0
	}
	lost := 0
	for i := request * r.per; i < (request+1)*r.per; i++ {
		if !r.epoch.seen[i].taken.Load() {
			lost++
		}
	}
	return lost
}

// How many requests were begun.
func (r *run) used() int { return min(int(r.next.Load()), len(r.sent)) }

// One connection's requests, one after the other.
func (r *run) publish() {
	c := &client{run: r}
	defer c.close()
	for {
		request := int(r.next.Add(1) - 1)
		due := time.Now()
		if r.Rate > 0 {
			due = r.started.Add(time.Duration(float64(request) / r.Rate * 1e9))
			time.Sleep(time.Until(due)) // waiting for a free connection is part of what the caller waits
		}
		if request >= len(r.sent) || due.UnixNano() >= r.to || !c.connect() {
			return
		}
		one := &r.sent[request]
		one.at.Store(due.UnixNano())
		status, listed, err := c.exchange(request)
		one.listed = listed
		one.answered.Store(time.Now().UnixNano())
		one.status.Store(int32(status))
		if err == nil && status != 200 {
			r.refused.Add(1)
		}
		if err != nil {
			r.broken.Add(1)
			c.close()
			if !r.Reconnect {
				return
			}
		}
	}
}

// Connect if there is no connection; whether there is one now.
func (c *client) connect() bool {
	for c.conn == nil {
		made, err := net.Dial("tcp", c.run.Address)
		if err == nil {
			c.open(made)
		} else if !c.run.Reconnect || time.Now().UnixNano() >= c.run.to {
			c.run.broken.Add(1)
			return false
		} else {
			time.Sleep(10 * time.Millisecond)
		}
	}
	return true
}
