package core

type handed struct{}

func (w *wire) wake() bool { return false }

func (w *wire) begin() bool { return false }
