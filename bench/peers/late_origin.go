// late_origin.go - an origin far away: answers each request after a while
//
//	late_origin DELAY_MS CERT   prints "http=PORT https=PORT", writes the
//	                            certificate that it made to CERT (PEM), and
//	                            serves every address of 127.0.0.0/8 until its
//	                            stdin ends; then prints "most=N", how many
//	                            requests waited at once
//
// HTTP/1.1 and, under TLS, HTTP/2. The body is the request's path, again and
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
	"sync/atomic"
	"time"
)

const bodyBytes = 1024

// Origins are 127.0.X.Y; the first so many are in the certificate.
const names = 2000

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func makeCertificate(path string) tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(err)
	form := x509.Certificate{
		SerialNumber:          big.NewInt(time.Now().UnixNano()),
		Subject:               pkix.Name{CommonName: "late origin"},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(24 * time.Hour),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	for i := 0; i < names; i++ {
		form.IPAddresses = append(form.IPAddresses,
			net.IPv4(127, 0, byte(1+i/250), byte(1+i%250)))
	}
	der, err := x509.CreateCertificate(rand.Reader, &form, &form,
		&key.PublicKey, key)
	check(err)
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	check(os.WriteFile(path, text, 0o644))
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
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
	server := &http.Server{Handler: http.HandlerFunc(answer),
		ErrorLog: log.New(io.Discard, "", 0),
		TLSConfig: &tls.Config{
			Certificates: []tls.Certificate{makeCertificate(os.Args[2])}}}
	plain, err := net.Listen("tcp4", ":0")
	check(err)
	secure, err := net.Listen("tcp4", ":0")
	check(err)
	go func() { check(server.Serve(plain)) }()
	go func() { check(server.ServeTLS(secure, "", "")) }()
	fmt.Printf("http=%d https=%d\n", plain.Addr().(*net.TCPAddr).Port,
		secure.Addr().(*net.TCPAddr).Port)
	_, _ = io.Copy(io.Discard, os.Stdin)
	fmt.Printf("most=%d\n", most.Load())
}
