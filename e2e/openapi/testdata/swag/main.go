// Package main is what swag reads to make a document.
package main

// @title             Market
// @version           1.0
// @externalDocs.url  https://example.com
func main() {}
