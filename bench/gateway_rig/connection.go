// One HTTP/2 connection of a gateway to the provider. Answers to what one read brought go out in one write.
package main

import (
	"bufio"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"sync"
	"time"

	"golang.org/x/net/http2/hpack"
)

const (
	full   = 1 << 14         // bytes of answers that are written even though more requests are here: a TLS record
	linger = 2 * time.Second // for what a peer still sends after our GOAWAY
)

var errPeer = errors.New("what HTTP/2 does not allow")

type stream struct {
	id                        uint32
	path, authorization, apns string
	body                      []byte
	ended                     bool // answered, or given up by the peer
}

// An answer for later.
type later struct {
	due    int64
	stream *stream
	answer answer
}

type connection struct {
	p       *provider
	socket  *socket
	tls     *tls.Conn
	reader  *bufio.Reader
	decoder *hpack.Decoder
	open    map[uint32]*stream // whose requests are not whole
	current *stream            // whose headers are being read
	known   string             // the authorization that was counted last, and in which run
	counted *epoch
	newest  uint32
	unsaid  uint32 // bytes of bodies that the peer does not know to be read

	mu      sync.Mutex // of what follows, which timers touch too
	out     []byte
	start   []byte             // of the next header block
	window  int                // bytes of bodies that the peer takes
	waiting map[uint32]*stream // whose answers are kept
	blocked []later            // until the peer takes bodies
	delayed []later            // until their time has come
	timer   *time.Timer
	under   int
	going   bool   // GOAWAY was said
	last    uint32 // stream that is still answered then
}

func newConnection(p *provider, s *socket, t *tls.Conn) *connection {
	c := &connection{p: p, socket: s, tls: t, reader: bufio.NewReaderSize(t, 1<<16), window: firstWindow}
	c.open, c.waiting = map[uint32]*stream{}, map[uint32]*stream{}
	c.decoder = hpack.NewDecoder(4096, c.field)
	return c
}

// Serve until either side ends it.
func (c *connection) serve(streams uint32) {
	defer c.tls.Close()
	first := make([]byte, len(preface))
	if _, err := io.ReadFull(c.reader, first); err != nil || string(first) != preface {
		return
	}
	c.mu.Lock()
	c.out = appendHello(c.out, streams)
	c.mu.Unlock()
	for {
		f, err := c.next()
		if err != nil || c.take(f) != nil {
			break
		}
	}
	c.say(func() {
		c.p.under.Add(int64(-c.under))
		c.under, c.delayed, c.blocked = 0, nil, nil
	})
	if c.going {
		c.socket.SetReadDeadline(time.Now().Add(linger))
		io.Copy(io.Discard, c.socket.Conn) // closed with something unread, TCP would take back what we said
	}
}

// The next frame. Before waiting for it, what was answered is written.
func (c *connection) next() (frame, error) {
	first, err := c.peek(head)
	if err != nil {
		return frame{}, err
	}
	length := int(first[0])<<16 | int(first[1])<<8 | int(first[2])
	if length > longest {
		return frame{}, errPeer
	}
	whole, err := c.peek(head + length)
	if err != nil {
		return frame{}, err
	}
	c.reader.Discard(head + length)
	id := binary.BigEndian.Uint32(whole[5:]) &^ (1 << 31)
	return frame{kind: whole[3], flags: whole[4], stream: id, payload: whole[head:]}, nil
}

func (c *connection) peek(n int) ([]byte, error) {
	for c.reader.Buffered() < n {
		if !c.socket.more() {
			if err := c.flush(); err != nil {
				return nil, err
			}
		}
		if _, err := c.reader.Peek(c.reader.Buffered() + 1); err != nil {
			return nil, err
		}
	}
	return c.reader.Peek(n)
}

func (c *connection) take(f frame) error {
	switch f.kind {
	case frameHeaders:
		return c.headers(f)
	case frameData:
		return c.data(f)
	case frameContinuation:
		if c.current == nil {
			return errPeer
		}
		return c.block(f.payload, f.flags)
	case frameSettings:
		return c.settings(f)
	case framePing:
		if f.flags&flagAck == 0 && len(f.payload) == 8 {
			c.say(func() { c.out = append(appendHead(c.out, 8, framePing, flagAck, 0), f.payload...) })
		}
	case frameWindow:
		if f.stream == 0 && len(f.payload) == 4 {
			c.say(func() { c.widen(int(binary.BigEndian.Uint32(f.payload))) })
		}
	case frameReset:
		c.reset(f.stream)
	}
	return nil
}

func (c *connection) say(what func()) {
	c.mu.Lock()
	what()
	c.mu.Unlock()
}

func (c *connection) settings(f frame) error {
	if f.flags&flagAck != 0 {
		return nil
	}
	if len(f.payload)%6 != 0 {
		return errPeer
	}
	for at := 0; at < len(f.payload); at += 6 {
		id, value := binary.BigEndian.Uint16(f.payload[at:]), binary.BigEndian.Uint32(f.payload[at+2:])
		if id == settingTable && value < 4096 {
			c.say(func() { c.start = []byte{noTable} })
		}
	}
	c.say(func() { c.out = appendHead(c.out, 0, frameSettings, flagAck, 0) })
	return nil
}

func (c *connection) headers(f frame) error {
	content, ok := f.content()
	if !ok || f.stream <= c.newest || f.stream%2 == 0 {
		return errPeer
	}
	c.newest = f.stream
	c.current = &stream{id: f.stream, ended: f.flags&flagEndStream != 0}
	return c.block(content, f.flags)
}

func (c *connection) field(f hpack.HeaderField) {
	switch f.Name {
	case ":path":
		c.current.path = f.Value
	case "authorization":
		c.current.authorization = f.Value
	case "apns-id":
		if len(f.Value) < 127 {
			c.current.apns = f.Value
		}
	}
}

func (c *connection) block(content []byte, flags byte) error {
	if _, err := c.decoder.Write(content); err != nil || flags&flagEndHeaders == 0 {
		return err
	}
	if err := c.decoder.Close(); err != nil {
		return err
	}
	s := c.current
	c.current = nil
	whole := s.ended
	s.ended = false
	if c.going && s.id > c.last {
		return nil
	}
	c.say(func() { c.under++ })
	c.p.begun()
	if whole {
		c.request(s, nil)
	} else {
		c.open[s.id] = s
	}
	return nil
}

func (c *connection) data(f frame) error {
	content, ok := f.content()
	if !ok || f.stream > c.newest {
		return errPeer
	}
	c.unsaid += uint32(len(f.payload))
	if c.unsaid > wide/4 {
		c.say(func() { c.out = appendWindow(c.out, 0, c.unsaid) })
		c.unsaid = 0
	}
	s := c.open[f.stream]
	if s == nil { // given up, or newer than our GOAWAY
		return nil
	}
	if f.flags&flagEndStream == 0 {
		if len(s.body)+len(content) > bodyWindow {
			return errPeer
		}
		s.body = append(s.body, content...)
		return nil
	}
	delete(c.open, s.id)
	if s.body != nil {
		content = append(s.body, content...)
	}
	c.request(s, content)
	return nil
}

// A whole request: its answer is decided now and framed now or after the provider's delay.
func (c *connection) request(s *stream, body []byte) {
	if run := c.p.epoch.Load(); s.authorization != c.known || run != c.counted {
		c.known, c.counted = s.authorization, run
		c.p.remember(s.authorization)
	}
	a, goes := c.p.decide(s, body)
	delay := c.p.delay.Load()
	c.mu.Lock()
	defer c.mu.Unlock()
	if goes && !c.going {
		c.going, c.last = true, c.newest
		c.out = appendGoaway(c.out, c.last)
	}
	if delay == 0 {
		c.answer(s, a)
		return
	}
	c.waiting[s.id] = s
	c.delayed = append(c.delayed, later{time.Now().UnixNano() + delay, s, a})
	if len(c.delayed) == 1 {
		c.wait(time.Duration(delay))
	}
}

func (c *connection) reset(id uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, streams := range []map[uint32]*stream{c.open, c.waiting} {
		if s := streams[id]; s != nil {
			c.end(s)
			delete(streams, id)
		}
	}
}
