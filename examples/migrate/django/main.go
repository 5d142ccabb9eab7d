// Django is views.py on gin, echo and fiber:
//
//	go run ./examples/migrate/django -framework echo
//	curl -N 'http://127.0.0.1:8080/stream?user_id=ada'
//
// The generators are in streams.go, and do not depend on a framework. gin.go, echo.go
// and fiber.go do what urls.py, the decorators and the request do.
package main

import (
	"time"

	"github.com/yieldsse/yieldsse/examples/migrate/internal/serve"
)

func main() {
	serve.Main(func(tick time.Duration) serve.App {
		s := &site{tick: tick, notices: make(chan string, 1000)}
		return serve.App{Gin: newGin(s), Echo: newEcho(s), Fiber: newFiber(s)}
	})
}
