package main

import "net/http"

// market streams trades.
//
// @Summary  The market's trades, as they happen
// @Produce  text/event-stream
// @Success  200 {string} string "the trades"
// @Router   /market [get]
func market(http.ResponseWriter, *http.Request) {}
