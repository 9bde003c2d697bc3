// The answering half of a connection: windows, delays, and the end after a GOAWAY. Everything here needs the lock.
package main

import "time"

// Frame an answer, or keep it until the peer takes its body.
func (c *connection) answer(s *stream, a answer) {
	if len(a.body) > c.window || len(c.blocked) > 0 && a.body != "" {
		c.waiting[s.id] = s
		c.blocked = append(c.blocked, later{stream: s, answer: a})
		return
	}
	c.window -= len(a.body)
	c.out = a.append(c.out, s.id, c.start)
	c.start = nil
	delete(c.waiting, s.id)
	c.end(s)
	if len(c.out) >= full {
		c.write()
	}
}

// The peer takes more.
func (c *connection) widen(more int) {
	c.window += more
	waiting := c.blocked
	c.blocked = nil
	for _, one := range waiting {
		if !one.stream.ended {
			c.answer(one.stream, one.answer)
		}
	}
}

// A stream is over.
func (c *connection) end(s *stream) {
	if !s.ended {
		s.ended = true
		c.under--
		c.p.under.Add(-1)
	}
}

func (c *connection) wait(duration time.Duration) {
	if c.timer == nil {
		c.timer = time.AfterFunc(duration, c.due)
	} else {
		c.timer.Reset(duration)
	}
}

// Write all answers whose time has come together.
func (c *connection) due() {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now().UnixNano()
	count := 0
	for count < len(c.delayed) && c.delayed[count].due <= now {
		one := c.delayed[count]
		if !one.stream.ended {
			c.answer(one.stream, one.answer)
		}
		count++
	}
	c.delayed = c.delayed[count:]
	if len(c.delayed) > 0 {
		c.wait(time.Duration(c.delayed[0].due - now))
	}
	c.write()
}

func (c *connection) flush() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.write()
}

// Write what there is in one go; after a GOAWAY and the last answer, say that nothing more comes.
func (c *connection) write() error {
	if len(c.out) > 0 {
		_, err := c.tls.Write(c.out)
		c.out = c.out[:0]
		if err != nil {
			return err
		}
	}
	if c.going && c.under == 0 {
		c.tls.CloseWrite()
		c.socket.SetReadDeadline(time.Now().Add(linger))
		return errGone
	}
	return nil
}
