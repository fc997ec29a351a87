package main

import "github.com/anishathalye/porcupine"

// bindingModel is a participant who gets one sponsor, once: the state is the sponsor, empty for none.
var bindingModel = porcupine.Model{
	Init: func() any { return "" },
	Step: func(state, input, _ any) (bool, any) {
		sponsor, o := state.(string), input.(Operation)
		switch o.Kind {
		case "enrol":
			return o.done(), sponsor
		case "read":
			return o.done() && o.Result.Sponsor == sponsor, sponsor
		default: // bind
			if sponsor == "" {
				return o.done(), o.Arguments.ID
			}
			return o.Outcome == "ALREADY_BOUND", sponsor
		}
	},
	DescribeOperation: describe,
}
