package main

import "github.com/anishathalye/porcupine"

// What tests/linearizability/program.yaml gives its budget, in minor units.
const budgetMinor = 10_000

// budgetModel is one budget: the state is how much of it is used. A bounty is cut to what is left, and what is taken
// back can be paid again.
var budgetModel = porcupine.Model{
	Init: func() any { return int64(0) },
	Step: func(state, input, _ any) (bool, any) {
		used, o := state.(int64), input.(Operation)
		if o.Kind == "take_back" {
			return o.done(), used - o.Arguments.Amount
		}
		fits := min(o.Arguments.Amount, budgetMinor-used)
		return o.done() && o.Result.Paid == fits, used + fits
	},
	DescribeOperation: describe,
}
