// Where gateways connect: TLS, HTTP/2 by our own loop and HTTP/1.1 by net/http, as ALPN says.
package main

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

const patience = 10 * time.Second // for a handshake

var errGone = errors.New("everything up to the GOAWAY was answered")

// Connections, to be cut when the provider is to be away.
type doors struct {
	mu    sync.Mutex
	conns map[net.Conn]bool
	made  int
	down  bool
}

// Whether a new connection may stay.
func (d *doors) enter(c net.Conn) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.down {
		return false
	}
	d.conns[c] = true
	d.made++
	return true
}

func (d *doors) leave(c net.Conn) {
	d.mu.Lock()
	delete(d.conns, c)
	d.mu.Unlock()
}

func (d *doors) shut(down bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.down = down
	if down {
		for c := range d.conns {
			c.Close()
		}
	}
}

// How many were made since the last time, those that stand already included.
func (d *doors) count(again bool) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	if again {
		d.made = len(d.conns)
	}
	return d.made
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
	config := &tls.Config{
		Certificates: []tls.Certificate{pair}, NextProtos: []string{"h2", "http/1.1"},
		DynamicRecordSizingDisabled: true, // answers that are written together stay together
	}
	plain := handed{l.Addr(), make(chan net.Conn)}
	old := &http.Server{Handler: http.HandlerFunc(p.http1), ErrorLog: quiet, TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){}}
	go old.Serve(plain)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if !p.doors.enter(c) {
				c.Close()
				continue
			}
			go p.meet(newSocket(c, func() { p.doors.leave(c) }), config, plain, uint32(streams))
		}
	}()
	return nil
}

func (p *provider) meet(s *socket, config *tls.Config, plain handed, streams uint32) {
	c := tls.Server(s, config)
	s.SetDeadline(time.Now().Add(patience))
	if err := c.Handshake(); err != nil {
		c.Close()
		return
	}
	s.SetDeadline(time.Time{})
	if c.ConnectionState().NegotiatedProtocol == "h2" {
		newConnection(p, s, c).serve(streams)
	} else {
		plain.conns <- c
	}
}

// A listener of connections that were accepted elsewhere.
type handed struct {
	address net.Addr
	conns   chan net.Conn
}

func (h handed) Accept() (net.Conn, error) { return <-h.conns, nil }
func (h handed) Close() error              { return nil }
func (h handed) Addr() net.Addr            { return h.address }

func (p *provider) http1(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	p.begun()
	defer p.under.Add(-1)
	p.remember(r.Header.Get("Authorization"))
	a, _ := p.decide(&stream{path: r.URL.Path, apns: r.Header.Get("Apns-Id")}, body)
	time.Sleep(time.Duration(p.delay.Load()))
	if a.body != "" {
		w.Header().Set("Content-Type", "application/json")
	}
	w.WriteHeader(a.status)
	io.WriteString(w, a.body)
}
