// Django is views.py on gin, echo v4 and v5, and fiber v2 and v3:
//
//	go run ./examples/migrate/django -framework echo
//	curl -N 'http://127.0.0.1:8080/stream?user_id=ada'
//
// The generators are in streams.go, and do not depend on a framework. gin.go, echo.go,
// echo5.go, fiber.go and fiber3.go do what urls.py, the decorators and the request do.
package main

import (
	"time"

	"github.com/yieldsse/yieldsse/examples/migrate/internal/serve"
)

func main() {
	serve.Main(func(tick time.Duration) serve.App {
		s := &site{tick: tick, notices: make(chan string, 1000)}
		return serve.App{Gin: newGin(s), Echo: newEcho(s), Echo5: newEcho5(s), Fiber: newFiber(s), Fiber3: newFiber3(s)}
	})
}
