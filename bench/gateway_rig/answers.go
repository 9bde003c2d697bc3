// What a provider says, as header blocks that need no table.
package main

import "strconv"

// An answer before it is framed. An empty id is one that the provider makes up.
type answer struct {
	status int
	apns   bool
	id     string
	body   string
}

const (
	tokenBody = `{"access_token":"rig","expires_in":3600,"token_type":"Bearer"}`
	fcmBody   = `{"name":"projects/demo-project/messages/0:1"}`
	madeUp    = "8f0e1c52-0000-4000-8000-000000000001"

	nameStatus = 0x08 // literal that enters no table, name :status
	status200  = 0x88
	noTable    = 0x20 // "my table holds nothing", which an encoder has to say to whom allows none
)

// content-type: application/json and apns-id:, literals that enter no table.
var (
	blockJSON = append([]byte{0x0f, 0x10, 16}, "application/json"...)
	blockID   = append([]byte{0x00, 7}, "apns-id"...)
)

// Append HEADERS and, if there is a body, DATA that end the stream. The start goes before all other headers.
func (a answer) append(out []byte, stream uint32, start []byte) []byte {
	flags := byte(flagEndHeaders)
	if a.body == "" {
		flags |= flagEndStream
	}
	at := len(out)
	out = append(appendHead(out, 0, frameHeaders, flags, stream), start...)
	if a.status == 200 {
		out = append(out, status200)
	} else {
		out = strconv.AppendInt(append(out, nameStatus, 3), int64(a.status), 10)
	}
	if a.apns {
		id := a.id
		if id == "" {
			id = madeUp
		}
		out = append(append(append(out, blockID...), byte(len(id))), id...)
	}
	if a.body != "" {
		out = append(out, blockJSON...)
	}
	length := len(out) - at - head
	out[at+1], out[at+2] = byte(length>>8), byte(length)
	if a.body != "" {
		out = append(appendHead(out, len(a.body), frameData, flagEndStream, stream), a.body...)
	}
	return out
}
