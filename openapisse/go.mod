module github.com/yieldsse/yieldsse/openapisse

go 1.26.0

require (
	github.com/google/jsonschema-go v0.4.3
	github.com/yieldsse/yieldsse v0.0.0
)

replace github.com/yieldsse/yieldsse => ../
