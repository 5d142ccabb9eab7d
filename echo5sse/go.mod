module github.com/yieldsse/yieldsse/echo5sse

go 1.26.0

require (
	github.com/labstack/echo/v5 v5.4.5
	github.com/yieldsse/yieldsse v0.0.0
)

require golang.org/x/time v0.15.0 // indirect

replace github.com/yieldsse/yieldsse => ../
