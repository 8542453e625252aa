// Fills an asynq queue and drains it with one server. Prints {"seconds": s}; ids go to IDS_FILE.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hibiken/asynq"
)

type payload struct {
	N   int    `json:"n"`
	Pad string `json:"pad"`
}

func number(name string) int {
	value, err := strconv.Atoi(os.Getenv(name))
	if err != nil {
		log.Fatalf("%s is not a number", name)
	}
	return value
}

func args(n, size int) []byte {
	bare, _ := json.Marshal(payload{N: n})
	full, _ := json.Marshal(payload{N: n, Pad: strings.Repeat("x", size-len(bare))})
	return full
}

// asynq has no bulk call, so many goroutines enqueue. Not timed.
func fill(redis asynq.RedisClientOpt, total, size int) {
	client := asynq.NewClient(redis)
	defer client.Close()
	var producers sync.WaitGroup
	for p := 0; p < 64; p++ {
		producers.Add(1)
		go func() {
			defer producers.Done()
			for n := p; n < total; n += 64 {
				if _, err := client.Enqueue(asynq.NewTask("noop", args(n, size))); err != nil {
					log.Fatal(err)
				}
			}
		}()
	}
	producers.Wait()
}

func main() {
	redis := asynq.RedisClientOpt{Addr: "127.0.0.1:" + os.Getenv("REDIS_PORT"), PoolSize: 100}
	total := number("JOBS")
	fill(redis, total, number("ARGS_BYTES"))

	var lock sync.Mutex
	ran := make([]int, 0, total)
	done := make(chan struct{})
	handle := func(_ context.Context, task *asynq.Task) error {
		var p payload
		if err := json.Unmarshal(task.Payload(), &p); err != nil {
			return err
		}
		lock.Lock()
		ran = append(ran, p.N)
		if len(ran) == total {
			close(done)
		}
		lock.Unlock()
		return nil
	}
	server := asynq.NewServer(redis, asynq.Config{
		Concurrency: number("CONCURRENCY"),
		LogLevel:    asynq.ErrorLevel,
	})
	mux := asynq.NewServeMux()
	mux.HandleFunc("noop", handle)

	start := time.Now()
	if err := server.Start(mux); err != nil {
		log.Fatal(err)
	}
	<-done
	seconds := time.Since(start).Seconds()
	server.Shutdown()

	lock.Lock()
	defer lock.Unlock()
	var ids strings.Builder
	for _, n := range ran {
		fmt.Fprintln(&ids, n)
	}
	if err := os.WriteFile(os.Getenv("IDS_FILE"), []byte(ids.String()), 0o644); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("{\"seconds\": %f}\n", seconds)
}
