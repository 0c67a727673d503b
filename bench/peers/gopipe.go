// gopipe.go - a peer: the pipeline a good Go engineer would write in an hour
//
//	gopipe LIST   prints sha512sum lines; exits 1 if a URL failed
//
// As many workers as connections; each streams the body through SHA-512 in its
// own goroutine, with its own buffer and digest, and makes its own line. Standard
// library only.
package main

import (
	"bufio"
	"crypto/sha512"
	"encoding/hex"
	"flag"
	"fmt"
	"hash"
	"io"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

const bufferBytes = 64 * 1024

type output struct {
	lock sync.Mutex
	to   *bufio.Writer
}

type worker struct {
	client *http.Client
	digest hash.Hash
	buffer []byte
	sum    []byte
	line   []byte
}

func newClient(connections int) *http.Client {
	dialer := net.Dialer{Timeout: 10 * time.Second}
	return &http.Client{Transport: &http.Transport{
		DialContext:         dialer.DialContext,
		MaxIdleConns:        connections,
		MaxIdleConnsPerHost: connections,
		MaxConnsPerHost:     connections,
		DisableCompression:  true,
		ReadBufferSize:      bufferBytes,
	}}
}

// Hashes what the body delivers. io.CopyBuffer, were it not that the digest
// takes everything and never fails.
func (w *worker) hashBody(body io.Reader) error {
	for {
		n, err := body.Read(w.buffer)
		w.digest.Write(w.buffer[:n])
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (w *worker) fetch(url string, out *output) error {
	response, err := w.client.Get(url)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: status %d", url, response.StatusCode)
	}
	w.digest.Reset()
	if err := w.hashBody(response.Body); err != nil {
		return err
	}
	w.sum = w.digest.Sum(w.sum[:0])
	w.line = w.line[:2*len(w.sum)]
	hex.Encode(w.line, w.sum)
	w.line = append(w.line, "  "...)
	w.line = append(w.line, url...)
	w.line = append(w.line, '\n')
	out.lock.Lock()
	_, err = out.to.Write(w.line)
	out.lock.Unlock()
	return err
}

func run(list io.Reader, connections int, out *output) int64 {
	client := newClient(connections)
	urls := make(chan string, 4*connections)
	var failed int64
	var workers sync.WaitGroup

	for i := 0; i < connections; i++ {
		workers.Add(1)
		go func() {
			defer workers.Done()
			w := worker{client: client, digest: sha512.New(),
				buffer: make([]byte, bufferBytes),
				line:   make([]byte, 0, 4096)}
			for url := range urls {
				if err := w.fetch(url, out); err != nil {
					fmt.Fprintln(os.Stderr, err)
					atomic.AddInt64(&failed, 1)
				}
			}
		}()
	}
	for scanner := bufio.NewScanner(list); scanner.Scan(); {
		urls <- scanner.Text()
	}
	close(urls)
	workers.Wait()
	return failed
}

func main() {
	connections := flag.Int("connections", 64, "workers, each with one connection")
	gc := flag.Int("gc", 400, "garbage collector's target, as GOGC")
	flag.Parse()
	debug.SetGCPercent(*gc)
	list, err := os.Open(flag.Arg(0))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	out := output{to: bufio.NewWriterSize(os.Stdout, bufferBytes)}
	failed := run(list, *connections, &out)
	if out.to.Flush() != nil || failed != 0 {
		os.Exit(1)
	}
}
