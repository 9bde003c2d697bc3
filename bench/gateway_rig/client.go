// One connection of the publisher: requests built in a buffer that is used again, answers read in one.
package main

import (
	"bufio"
	"bytes"
	"errors"
	"net"
	"strconv"
	"time"
)

const (
	zeros  = "aaaa000000000000000000000000000000000000000000000000" // what all tokens begin with
	digits = "0123456789abcdef"
)

var (
	errAnswer     = errors.New("no answer of HTTP/1.1")
	contentLength = []byte("content-length:")
)

type client struct {
	run     *run
	conn    net.Conn
	reader  *bufio.Reader
	body    []byte
	request []byte
}

func (c *client) open(conn net.Conn) {
	c.conn, c.reader = conn, bufio.NewReader(conn)
}

func (c *client) close() {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}

// Send a request and return the status of its answer.
func (c *client) exchange(request int) (int, error) {
	c.build(request * c.run.per)
	c.conn.SetDeadline(time.Now().Add(time.Minute))
	if _, err := c.conn.Write(c.request); err != nil {
		return 0, err
	}
	line, err := c.reader.ReadSlice('\n')
	if err != nil || len(line) < 12 {
		return 0, errAnswer
	}
	status, length := int(line[9]-'0')*100+int(line[10]-'0')*10+int(line[11]-'0'), 0
	for {
		if line, err = c.reader.ReadSlice('\n'); err != nil {
			return 0, err
		}
		if len(line) <= 2 {
			break
		}
		if len(line) > 16 && line[0]|0x20 == 'c' && bytes.EqualFold(line[:15], contentLength) {
			length, _ = strconv.Atoi(string(bytes.TrimSpace(line[15:])))
		}
	}
	_, err = c.reader.Discard(length)
	return status, err
}

// Build the request whose first push is that one.
func (c *client) build(first int) {
	r, body := c.run, append(c.body[:0], `{"notifications":[`...)
	for n := 0; n < r.Notes; n++ {
		if n > 0 {
			body = append(body, ',')
		}
		body = append(body, `{"tokens":[`...)
		for t := 0; t < r.Tokens; t++ {
			if t > 0 {
				body = append(body, ',')
			}
			body = r.token(body, first+n*r.Tokens+t)
		}
		body = strconv.AppendInt(append(body, `],"platform":`...), int64(r.Platform), 10)
		body = strconv.AppendInt(append(body, `,"message":"New message #`...), int64(first+n*r.Tokens), 10)
		body = append(body, `;","title":"Chat"`...)
		if r.Platform == 1 {
			body = append(append(append(body, `,"topic":"`...), r.Topic...), '"')
		}
		body = append(body, '}')
	}
	c.body = append(body, `]}`...)
	out := append(c.request[:0], "POST /api/push HTTP/1.1\r\nHost: gateway\r\nContent-Type: application/json\r\nContent-Length: "...)
	out = append(strconv.AppendInt(out, int64(len(c.body)), 10), "\r\n"...)
	if r.Key != "" {
		out = append(append(append(out, "Authorization: Bearer "...), r.Key...), "\r\n"...)
	}
	if r.App != "" {
		out = append(append(append(out, "X-Hushbell-App: "...), r.App...), "\r\n"...)
	}
	c.request = append(append(out, "\r\n"...), c.body...)
}

// Append a token of 64 digits in quotes, of which the last 12 name the run and the push.
func (r *run) token(out []byte, number int) []byte {
	if r.Few > 0 {
		number %= r.Few
	}
	out = append(append(out, '"'), zeros...)
	for shift := 12; shift >= 0; shift -= 4 {
		out = append(out, digits[r.epoch.number>>shift&15])
	}
	for shift := 28; shift >= 0; shift -= 4 {
		out = append(out, digits[number>>shift&15])
	}
	return append(out, '"')
}
