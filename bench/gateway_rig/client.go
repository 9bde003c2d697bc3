// One connection of the publisher: requests built in a buffer that is used again, answers read in one.
package main

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	zeros  = "aaaa000000000000000000000000000000000000000000000000" // what all tokens begin with
	digits = "0123456789abcdef"
)

var (
	errAnswer = errors.New("no answer of HTTP/1.1")
	failed    = []byte(`"failed-push"`)
)

type client struct {
	run     *run
	conn    net.Conn
	reader  *bufio.Reader
	body    []byte
	request []byte
	answer  []byte
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

// Send a request; return the status of its answer and how many pushes it says have failed.
func (c *client) exchange(request int) (int, int, error) {
	c.build(request * c.run.per)
	c.conn.SetDeadline(time.Now().Add(time.Minute))
	if _, err := c.conn.Write(c.request); err != nil {
		return 0, 0, err
	}
	line, err := c.reader.ReadSlice('\n')
	if err != nil || len(line) < 12 {
		return 0, 0, errAnswer
	}
	status, length := int(line[9]-'0')*100+int(line[10]-'0')*10+int(line[11]-'0'), 0
	for {
		if line, err = c.reader.ReadSlice('\n'); err != nil {
			return 0, 0, err
		}
		if len(line) <= 2 {
			break
		}
		if begins(line, "content-length:") {
			length = number(line[15:], 10)
		} else if begins(line, "transfer-encoding: chunked") {
			length = -1
		}
	}
	c.answer = c.answer[:0]
	if length >= 0 {
		err = c.take(length)
	}
	for length < 0 && err == nil {
		if line, err = c.reader.ReadSlice('\n'); err != nil {
			break
		}
		size := number(line, 16)
		if err = c.take(size + 2); size == 0 { // with the line's end after it
			break
		}
	}
	return status, bytes.Count(c.answer, failed), err
}

// Read so many bytes of an answer.
func (c *client) take(length int) error {
	at := len(c.answer)
	c.answer = slices.Grow(c.answer, length)[:at+length]
	_, err := io.ReadFull(c.reader, c.answer[at:])
	return err
}

func begins(line []byte, name string) bool {
	return len(line) > len(name) && line[0]|0x20 == name[0] && strings.EqualFold(string(line[:len(name)]), name)
}

func number(text []byte, base int) int {
	found, _ := strconv.ParseInt(string(bytes.TrimSpace(text)), base, 32)
	return int(found)
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
