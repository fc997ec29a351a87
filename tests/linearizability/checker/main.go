// Checks recorded histories of concurrent calls with porcupine, which looks for an order of the calls in which a system
// that does one thing at a time would have given the same answers.
//
//	go run . HISTORY.jsonl...
//
// Ends with code 1 if a history is not linearizable, 2 if it could not be read or decided in time, 0 otherwise. A
// history that is not linearizable is drawn beside its file, as HISTORY.jsonl.SUBJECT.html.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

// How long one subject may take: a search that has not ended by then is not a proof of anything.
const decideWithin = 2 * time.Minute

// The longest line of a history, in bytes; the largest operation is a batch of payouts, far below.
const maxLine = 1 << 20

// Operation is one line of a history, as tests/linearizability/recording.py writes it.
type Operation struct {
	Subject   string    `json:"subject"`
	Client    int       `json:"client"`
	Kind      string    `json:"kind"`
	Arguments Arguments `json:"arguments"`
	Outcome   string    `json:"outcome"`
	Result    Result    `json:"result"`
	CallNs    int64     `json:"call_ns"`
	ReturnNs  int64     `json:"return_ns"`
}

// Arguments are what was asked for.
type Arguments struct {
	ID     string `json:"id"`
	Amount int64  `json:"amount"`
}

// Result is what was told.
type Result struct {
	Available int64    `json:"available"`
	Reserved  int64    `json:"reserved"`
	Debt      int64    `json:"debt"`
	Held      int64    `json:"held"`
	Paid      int64    `json:"paid"`
	Sponsor   string   `json:"sponsor"`
	Payouts   []string `json:"payouts"`
}

// done tells whether the call was carried out, not refused.
func (o Operation) done() bool { return o.Outcome == "OK" }

var models = map[string]porcupine.Model{
	"wallet":  walletModel.ToModel(),
	"binding": bindingModel,
	"budget":  budgetModel,
}

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: go run . HISTORY.jsonl...")
		os.Exit(2)
	}
	worst := 0
	for _, path := range os.Args[1:] {
		worst = max(worst, checkFile(path))
	}
	os.Exit(worst)
}

func checkFile(path string) int {
	histories, order, err := read(path)
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", path, err)
		return 2
	}
	worst := 0
	counted := map[string][3]int{} // by kind of subject: histories, operations, those that overlapped another
	for _, subject := range order {
		operations := histories[subject]
		kind, _, _ := strings.Cut(subject, ":")
		model, known := models[kind]
		if !known {
			fmt.Fprintf(os.Stderr, "%s: %s: there is no model of a %s\n", path, subject, kind)
			return 2
		}
		result, info := porcupine.CheckOperationsVerbose(model, operations, decideWithin)
		c := counted[kind]
		counted[kind] = [3]int{c[0] + 1, c[1] + len(operations), c[2] + overlapping(operations)}
		switch result {
		case porcupine.Ok:
			continue
		case porcupine.Unknown:
			fmt.Printf("%s: %s: not decided within %v (%d operations)\n", path, subject, decideWithin, len(operations))
			worst = max(worst, 2)
		default:
			drawing := path + "." + strings.ReplaceAll(subject, ":", "-") + ".html"
			fmt.Printf("%s: %s: NOT LINEARIZABLE (%d operations)", path, subject, len(operations))
			if err := porcupine.VisualizePath(model, info, drawing); err == nil {
				fmt.Printf("; drawn in %s", drawing)
			}
			fmt.Println()
			if worst == 0 {
				worst = 1
			}
		}
	}
	for _, kind := range []string{"wallet", "binding", "budget"} {
		if c, any := counted[kind]; any {
			fmt.Printf("%s: %s: %d histories, %d operations, %d of them beside another\n", path, kind, c[0], c[1], c[2])
		}
	}
	return worst
}

func read(path string) (map[string][]porcupine.Operation, []string, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer file.Close()
	histories := map[string][]porcupine.Operation{}
	var order []string
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, maxLine)
	for number := 1; lines.Scan(); number++ {
		var each Operation
		if err := json.Unmarshal(lines.Bytes(), &each); err != nil {
			return nil, nil, fmt.Errorf("line %d: %w", number, err)
		}
		if _, seen := histories[each.Subject]; !seen {
			order = append(order, each.Subject)
		}
		histories[each.Subject] = append(histories[each.Subject], porcupine.Operation{
			ClientId: each.Client, Input: each, Output: each, Call: each.CallNs, Return: each.ReturnNs,
		})
	}
	if len(order) == 0 && lines.Err() == nil {
		return nil, nil, fmt.Errorf("no operation in it")
	}
	return histories, order, lines.Err()
}

// overlapping counts the operations that were under way at the same time as another one: a history without any proves
// nothing about concurrency.
func overlapping(operations []porcupine.Operation) int {
	count := 0
	for i, one := range operations {
		for j, other := range operations {
			if i != j && one.Call <= other.Return && other.Call <= one.Return {
				count++
				break
			}
		}
	}
	return count
}

func describe(input, _ any) string {
	each := input.(Operation)
	text := each.Kind
	if each.Arguments.ID != "" {
		text += " " + each.Arguments.ID
	}
	if each.Arguments.Amount != 0 {
		text += fmt.Sprintf(" %d", each.Arguments.Amount)
	}
	text += " → " + each.Outcome
	if each.Kind == "read" || each.Kind == "hand_over" || each.Result.Paid != 0 {
		told, _ := json.Marshal(each.Result)
		text += " " + string(told)
	}
	return text
}
