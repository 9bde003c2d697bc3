// Bytes of a TCP connection, so that TLS above it gets one record at a time and one can see whether more are here.
package main

import (
	"bufio"
	"net"
)

const recordHead = 5 // bytes before the content of a TLS record

type socket struct {
	net.Conn
	buffer *bufio.Reader
	left   int // bytes of the record that is being read
	closed func()
}

func newSocket(c net.Conn, closed func()) *socket {
	return &socket{Conn: c, buffer: bufio.NewReaderSize(c, 1<<16), closed: closed}
}

// Read returns bytes of one record only: those of the next ones stay in the buffer.
func (s *socket) Read(to []byte) (int, error) {
	if s.left == 0 {
		first, err := s.buffer.Peek(recordHead)
		if err != nil {
			return 0, err
		}
		s.left = recordHead + (int(first[3])<<8 | int(first[4]))
	}
	n, err := s.buffer.Read(to[:min(len(to), s.left)])
	s.left -= n
	return n, err
}

// Whether a whole record is here, so that reading it does not wait.
func (s *socket) more() bool {
	here := s.buffer.Buffered()
	if here < recordHead {
		return false
	}
	first, _ := s.buffer.Peek(recordHead)
	return here >= recordHead+(int(first[3])<<8|int(first[4]))
}

func (s *socket) Close() error {
	s.closed()
	return s.Conn.Close()
}
