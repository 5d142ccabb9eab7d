module github.com/yieldsse/yieldsse/examples/echo5

go 1.26.0

require (
	github.com/labstack/echo/v5 v5.4.6
	github.com/yieldsse/yieldsse v0.0.0
	github.com/yieldsse/yieldsse/echo5sse v0.0.0
)

replace (
	github.com/yieldsse/yieldsse => ../../
	github.com/yieldsse/yieldsse/echo5sse => ../../echo5sse
)
