package rolling_test

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/yieldsse/yieldsse/internal/testenv"
)

// The code of the document is the server's.
func TestDocument(t *testing.T) { testenv.CodeOf(t, document, "app/*.go") }

// A deployment is what the document's manifest says.
type deployment struct {
	Spec struct {
		Strategy struct {
			RollingUpdate struct {
				MaxUnavailable int `yaml:"maxUnavailable"`
				MaxSurge       int `yaml:"maxSurge"`
			} `yaml:"rollingUpdate"`
		} `yaml:"strategy"`
		Template struct {
			Spec struct {
				Grace      int         `yaml:"terminationGracePeriodSeconds"`
				Containers []container `yaml:"containers"`
			} `yaml:"spec"`
		} `yaml:"template"`
	} `yaml:"spec"`
}

type container struct {
	Name           string   `yaml:"name"`
	Args           []string `yaml:"args"`
	ReadinessProbe struct {
		HTTPGet struct {
			Path string `yaml:"path"`
			Port int    `yaml:"port"`
		} `yaml:"httpGet"`
		PeriodSeconds    int `yaml:"periodSeconds"`
		FailureThreshold int `yaml:"failureThreshold"`
	} `yaml:"readinessProbe"`
	Lifecycle struct {
		PreStop struct {
			Sleep struct {
				Seconds int `yaml:"seconds"`
			} `yaml:"sleep"`
		} `yaml:"preStop"`
	} `yaml:"lifecycle"`
}

// The numbers for Kubernetes fit together, and are those of the table below them.
func TestKubernetesNumbers(t *testing.T) {
	var d deployment
	if err := yaml.UnmarshalWithOptions([]byte(blockOf(t, "yaml")), &d, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	pod := d.Spec.Template.Spec
	c := pod.Containers[0]
	if out, err := exec.Command(program, append(c.Args, "-h")...).CombinedOutput(); err != nil {
		t.Errorf("the server does not take %q: %v\n%s", c.Args, err, out)
	}
	args := map[string]time.Duration{}
	for _, arg := range c.Args {
		name, value, _ := strings.Cut(arg, "=")
		d, err := time.ParseDuration(value)
		if err != nil {
			t.Fatal(err)
		}
		args[name] = d
	}
	preStop := time.Duration(c.Lifecycle.PreStop.Sleep.Seconds) * time.Second
	grace := time.Duration(pod.Grace) * time.Second
	noticed := time.Duration(c.ReadinessProbe.PeriodSeconds*c.ReadinessProbe.FailureThreshold) * time.Second

	const store = 5 * time.Second // for which run.Runner.Shutdown waits after its context has ended
	least := preStop + args["-notice"] + args["-bound"] + 2*args["-rest"] + store
	if grace <= least {
		t.Errorf("got a grace period of %v, want more than preStop, -notice, -bound, twice -rest and the store take, which are %v", grace, least)
	}
	if args["-bound"] <= args["-window"] {
		t.Errorf("got a bound of %v, want more than the window, which is %v", args["-bound"], args["-window"])
	}
	if preStop <= noticed || noticed == 0 {
		t.Errorf("got a preStop of %v, want more than the readiness probe takes, which is %v", preStop, noticed)
	}
	if update := d.Spec.Strategy.RollingUpdate; update.MaxUnavailable != 0 || update.MaxSurge == 0 {
		t.Errorf("got the update %+v, want a new pod before an old one leaves", update)
	}

	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	for name, d := range map[string]time.Duration{
		"preStop": preStop, "-window": args["-window"], "-bound": args["-bound"], "-rest": args["-rest"], "terminationGracePeriodSeconds": grace,
	} {
		if row := fmt.Sprintf("| `%s` | %d |", name, int(d.Seconds())); !strings.Contains(string(text), row) {
			t.Errorf("%s has no row %q", document, row)
		}
	}
	if !strings.Contains(string(text), fmt.Sprintf("together: %d |", int(least.Seconds()))) {
		t.Errorf("%s does not say that the least is %v", document, least)
	}
}
