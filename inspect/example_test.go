package inspect_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"

	"github.com/yieldsse/yieldsse/core"
	"github.com/yieldsse/yieldsse/hub"
	"github.com/yieldsse/yieldsse/inspect"
	"github.com/yieldsse/yieldsse/nethttpsse"
)

// A browser that opens the URL gets the page, and a program gets JSON. Both can end a session.
func Example() {
	var (
		streams core.Group
		prices  hub.Hub
	)
	mux := http.NewServeMux()
	mux.Handle("GET /prices/{symbol}", nethttpsse.Handler(func(_ http.ResponseWriter, r *http.Request) core.Stream {
		return prices.Subscribe(r.Context(), r.PathValue("symbol"))
	}, core.WithGroup(&streams)))
	mux.Handle("/inspect", &inspect.Handler{
		Authorize: func(r *http.Request) bool {
			_, password, _ := r.BasicAuth()
			return password == "a secret of the operators"
		},
		Groups: map[string]*core.Group{"prices": &streams},
		Hubs:   map[string]*hub.Hub{"prices": &prices},
	})
	server := httptest.NewServer(mux)
	defer server.Close()

	res, err := http.Get(server.URL + "/prices/btc")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer res.Body.Close()

	req, _ := http.NewRequest(http.MethodGet, server.URL+"/inspect?q=btc&sort=-bytes&n=10", nil)
	req.SetBasicAuth("ann", "a secret of the operators")
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer answer.Body.Close()
	var report struct {
		Sessions struct {
			Rows []struct {
				ID    uint64 `json:"id"`
				Route string `json:"route"`
			} `json:"rows"`
		} `json:"sessions"`
	}
	if err := json.NewDecoder(answer.Body).Decode(&report); err != nil || len(report.Sessions.Rows) != 1 {
		fmt.Println(report, err)
		return
	}
	session := report.Sessions.Rows[0]
	fmt.Println("open:", session.Route)

	req.Method = http.MethodPost
	req.URL.RawQuery = url.Values{"end": {strconv.FormatUint(session.ID, 10)}}.Encode()
	ended, err := http.DefaultClient.Do(req)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer ended.Body.Close()
	for _, err := range core.Read(res.Body) {
		fmt.Println(err)
	}
	fmt.Println("ended cleanly:", ended.Status)
	// Output:
	// open: /prices/{symbol}
	// ended cleanly: 204 No Content
}
