package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestAnswersAreThoseOfTheProviders(t *testing.T) {
	p, url := serving(t)
	p.reset(10, false)

	apns := push(t, client2(), url, token(p, 3), "{}")
	fcm := post(t, client2(), url+"/v1/projects/demo-project/messages:send", `{"message":{"token":"`+token(p, 4)+`"}}`)
	old := post(t, &http.Client{Transport: &http.Transport{TLSClientConfig: trusting()}}, url+"/token", "grant")

	if apns.status != 200 || apns.id != "11111111-2222-4333-8444-555555555555" || apns.body != "" || apns.version != 2 {
		t.Fatal(apns)
	}
	if fcm.status != 200 || fcm.body != fcmBody || fcm.version != 2 {
		t.Fatal(fcm)
	}
	if old.status != 200 || old.body != tokenBody || old.version != 1 {
		t.Fatal(old)
	}
	if stats := p.stats(); stats["arrived"] != int64(2) || stats["strangers"] != int64(0) {
		t.Fatal(stats)
	}
}

func TestFirstAttemptsFailAsToldAndLaterOnesDoNot(t *testing.T) {
	p, url := serving(t)
	p.reset(100, false)
	p.errors.Store(true)
	client, found := client2(), map[int]int{}

	for attempt := 0; attempt < 2; attempt++ {
		for number := 0; number < 100; number++ {
			if attempt == 0 || number >= 5 && number < 8 {
				found[push(t, client, url, token(p, number), "{}").status]++
			}
		}
	}

	if fmt.Sprint(found) != "map[200:95 410:5 429:2 503:1]" || p.twice.Load() != 0 {
		t.Fatal(found, p.twice.Load())
	}
}

func TestNothingIsLostOrSentTwiceAroundAGoaway(t *testing.T) {
	p, url := serving(t)
	p.reset(2000, false)
	p.goaway.Store(50)
	p.delay.Store(1e6)
	client := client2()

	together(2000, 40, func(number int) { push(t, client, url, token(p, number), "{}") })

	stats := p.stats()
	if stats["arrived"] != int64(2000) || stats["twice"] != int64(0) || stats["connections"].(int) < 20 {
		t.Fatal(stats)
	}
}

func TestStreamsThatAreGivenUpAreForgotten(t *testing.T) {
	p, url := serving(t)
	p.reset(100, false)
	p.delay.Store(50e6)
	client := client2()

	together(100, 100, func(number int) {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
		defer cancel()
		r, _ := http.NewRequestWithContext(ctx, "POST", url+"/3/device/"+token(p, number), strings.NewReader("{}"))
		if answer, err := client.Do(r); err == nil {
			answer.Body.Close()
		}
	})
	p.delay.Store(0)
	late := push(t, client, url, token(p, 0), "{}")

	time.Sleep(100 * time.Millisecond)
	if late.status != 200 || p.under.Load() != 0 {
		t.Fatal(late, p.under.Load())
	}
}

func TestAProviderThatIsAwayCutsAndRefuses(t *testing.T) {
	p, url := serving(t)
	p.reset(10, false)
	client := client2()
	push(t, client, url, token(p, 0), "{}")

	p.doors.shut(true)
	_, err := client.Post(url+"/3/device/"+token(p, 1), "", strings.NewReader("{}"))
	p.doors.shut(false)
	back := push(t, client, url, token(p, 2), "{}")

	if err == nil || back.status != 200 {
		t.Fatal(err, back)
	}
}

type got struct {
	status, version int
	id, body        string
}

func push(t *testing.T, client *http.Client, url, token, body string) got {
	t.Helper()
	return post(t, client, url+"/3/device/"+token, body)
}

func post(t *testing.T, client *http.Client, url, body string) got {
	t.Helper()
	r, _ := http.NewRequest("POST", url, strings.NewReader(body))
	r.Header.Set("Apns-Id", "11111111-2222-4333-8444-555555555555")
	answer, err := client.Do(r)
	if err != nil {
		t.Error(err)
		return got{}
	}
	defer answer.Body.Close()
	read, _ := io.ReadAll(answer.Body)
	return got{answer.StatusCode, answer.ProtoMajor, answer.Header.Get("apns-id"), string(read)}
}

func token(p *provider, number int) string {
	r := &run{epoch: p.epoch.Load()}
	return strings.Trim(string(r.token(nil, number)), `"`)
}

func together(count, width int, what func(int)) {
	var group sync.WaitGroup
	for first := 0; first < width; first++ {
		group.Add(1)
		go func() {
			defer group.Done()
			for number := first; number < count; number += width {
				what(number)
			}
		}()
	}
	group.Wait()
}

func trusting() *tls.Config { return &tls.Config{InsecureSkipVerify: true} }

func client2() *http.Client {
	return &http.Client{Transport: &http.Transport{TLSClientConfig: trusting(), ForceAttemptHTTP2: true}}
}

// A provider on a port of its own, and where it is.
func serving(t *testing.T) (*provider, string) {
	t.Helper()
	key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	made := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	certificate, _ := x509.CreateCertificate(rand.Reader, made, made, key.Public(), key)
	private, _ := x509.MarshalPKCS8PrivateKey(key)
	folder := t.TempDir()
	for name, block := range map[string]*pem.Block{
		"cert.pem": {Type: "CERTIFICATE", Bytes: certificate}, "key.pem": {Type: "PRIVATE KEY", Bytes: private},
	} {
		os.WriteFile(filepath.Join(folder, name), pem.EncodeToMemory(block), 0o600)
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	free.Close()
	p := newProvider()
	if err := p.serve(address, filepath.Join(folder, "cert.pem"), filepath.Join(folder, "key.pem"), 1000); err != nil {
		t.Fatal(err)
	}
	return p, "https://" + address
}
