// The frames of HTTP/2 (RFC 9113, section 6) that a provider reads and writes.
package main

import "encoding/binary"

const (
	frameData         = 0
	frameHeaders      = 1
	frameReset        = 3
	frameSettings     = 4
	framePing         = 6
	frameGoaway       = 7
	frameWindow       = 8
	frameContinuation = 9

	flagAck        = 0x1
	flagEndStream  = 0x1
	flagEndHeaders = 0x4
	flagPadded     = 0x8
	flagPriority   = 0x20

	settingTable   = 1
	settingStreams = 3
	settingWindow  = 4

	head        = 9       // bytes before a frame's payload
	longest     = 1 << 14 // bytes of a payload: we never allow more
	preface     = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	firstWindow = 65535   // bytes that a connection may send before it is told more
	wide        = 1 << 30 // bytes that we allow a connection; given back in steps of a quarter
	bodyWindow  = 1 << 20 // bytes of a request's body that we allow
)

// One frame. The payload is good until the next one is read.
type frame struct {
	kind, flags byte
	stream      uint32
	payload     []byte
}

func appendHead(out []byte, length int, kind, flags byte, stream uint32) []byte {
	out = append(out, byte(length>>16), byte(length>>8), byte(length), kind, flags)
	return binary.BigEndian.AppendUint32(out, stream)
}

// Our side's SETTINGS, and room for all bodies of a connection.
func appendHello(out []byte, streams uint32) []byte {
	out = appendHead(out, 12, frameSettings, 0, 0)
	out = binary.BigEndian.AppendUint32(append(out, 0, settingStreams), streams)
	out = binary.BigEndian.AppendUint32(append(out, 0, settingWindow), bodyWindow)
	return appendWindow(out, 0, wide-firstWindow)
}

func appendWindow(out []byte, stream, more uint32) []byte {
	return binary.BigEndian.AppendUint32(appendHead(out, 4, frameWindow, 0, stream), more)
}

func appendGoaway(out []byte, last uint32) []byte {
	out = binary.BigEndian.AppendUint32(appendHead(out, 8, frameGoaway, 0, 0), last)
	return append(out, 0, 0, 0, 0) // NO_ERROR
}

// The payload of HEADERS or DATA without padding and priority; false if they are longer than it.
func (f frame) content() ([]byte, bool) {
	payload, padding := f.payload, 0
	if f.flags&flagPadded != 0 {
		if len(payload) < 1 {
			return nil, false
		}
		padding, payload = int(payload[0]), payload[1:]
	}
	if f.kind == frameHeaders && f.flags&flagPriority != 0 {
		if len(payload) < 5 {
			return nil, false
		}
		payload = payload[5:]
	}
	if padding > len(payload) {
		return nil, false
	}
	return payload[:len(payload)-padding], true
}
