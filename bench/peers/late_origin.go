// late_origin.go - an origin far away: answers each request after a while
//
//	late_origin DELAY_MS CERT   prints "http=PORT https=PORT h2=PORT", writes the
//	                            certificate of its authority to CERT (PEM), and
//	                            serves every address of 127.0.0.0/8, each with
//	                            a certificate of its own, until its stdin ends;
//	                            then prints "most=N", how many
//	                            requests waited at once
//
// HTTP/1.1, the same under TLS, and HTTP/2. The body is the request's path, again and
// again, 1 KiB of it.
package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const bodyBytes = 1024

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// An authority, and certificates that it signs.
type authority struct {
	form *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newForm(name string) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber:          big.NewInt(time.Now().UnixNano()),
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(24 * time.Hour),
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature,
	}
}

// Writes its certificate to path.
func newAuthority(path string) *authority {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(err)
	form := newForm("authority of the late origin")
	form.IsCA = true
	form.KeyUsage = x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, form, form,
		&key.PublicKey, key)
	check(err)
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	check(os.WriteFile(path, text, 0o644))
	return &authority{form, key}
}

func (authority *authority) sign(address net.IP) *tls.Certificate {
	form := newForm(address.String())
	form.IPAddresses = []net.IP{address}
	der, err := x509.CreateCertificate(rand.Reader, form, authority.form,
		&authority.key.PublicKey, authority.key)
	check(err)
	return &tls.Certificate{Certificate: [][]byte{der},
		PrivateKey: authority.key}
}

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: late_origin DELAY_MS CERT")
	}
	debug.SetGCPercent(400)
	delay, err := strconv.Atoi(os.Args[1])
	check(err)
	var waiting, most atomic.Int64
	answer := func(to http.ResponseWriter, from *http.Request) {
		now := waiting.Add(1)
		for before := most.Load(); now > before; before = most.Load() {
			if most.CompareAndSwap(before, now) {
				break
			}
		}
		time.Sleep(time.Duration(delay) * time.Millisecond)
		waiting.Add(-1)
		path := from.URL.RequestURI()
		body := strings.Repeat(path, 1+bodyBytes/len(path))[:bodyBytes]
		to.Header().Set("Content-Length", strconv.Itoa(bodyBytes))
		_, _ = io.WriteString(to, body)
	}
	authority := newAuthority(os.Args[2])
	var known sync.Map // address -> *tls.Certificate
	certificate := func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		address := hello.Conn.LocalAddr().(*net.TCPAddr).IP
		found, isKnown := known.Load(address.String())
		if !isKnown {
			found, _ = known.LoadOrStore(address.String(),
				authority.sign(address))
		}
		return found.(*tls.Certificate), nil
	}
	// A server each: of one that has begun without TLS the HTTP/2 is never set
	// up.
	newServer := func() *http.Server {
		return &http.Server{Handler: http.HandlerFunc(answer),
			ErrorLog:  log.New(io.Discard, "", 0),
			TLSConfig: &tls.Config{GetCertificate: certificate}}
	}
	serve := func(server *http.Server, isSecure bool) int {
		listener, err := net.Listen("tcp4", ":0")
		check(err)
		go func() {
			if isSecure {
				check(server.ServeTLS(listener, "", ""))
			}
			check(server.Serve(listener))
		}()
		return listener.Addr().(*net.TCPAddr).Port
	}
	single := newServer()
	single.TLSNextProto = map[string]func(*http.Server, *tls.Conn, http.Handler){}
	fmt.Printf("http=%d https=%d h2=%d\n", serve(newServer(), false),
		serve(single, true), serve(newServer(), true))
	_, _ = io.Copy(io.Discard, os.Stdin)
	fmt.Printf("most=%d\n", most.Load())
}
