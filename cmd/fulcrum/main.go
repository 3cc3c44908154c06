// Command fulcrum serves rows from a database over HTTP, sharing queries between
// requests, and shows what that is worth.
//
//	fulcrum demo            a database of 100,000 profiles, served, with sample traffic
//	fulcrum serve -c FILE   serve what a configuration names
//	fulcrum check -c FILE   compare a configuration with its database
//	fulcrum init -c FILE    make the tables that idempotency keys and dead letters need
//	fulcrum deadletter      list, replay or discard changes that could not be made
//	fulcrum bench           measure a service or a database, and how it scales
//	fulcrum simulate        predict what another load, tuner or database would do
//	fulcrum analyze         say how a system is used, from its logs, and what to do
//	fulcrum experience      say what people feel, as a gateway was told
//	fulcrum version         which build this is
//
// Exit codes: 0 done, 1 failed, 2 wrong usage.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

// Exit codes.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

// cli is all commands.
type cli struct {
	Demo       demoCommand       `cmd:"" help:"Serve a database of 100,000 made-up profiles and drive sample traffic against it."`
	Serve      serveCommand      `cmd:"" help:"Serve the resources that a configuration names."`
	Check      checkCommand      `cmd:"" help:"Compare a configuration with its database and say what each resource gets."`
	Init       initCommand       `cmd:"" help:"Make Fulcrum's own tables in the database: first answers, positions, dead letters."`
	DeadLetter deadLetterCommand `cmd:"" name:"deadletter" help:"Changes that were accepted and could not be made."`
	Bench      benchCommand      `cmd:"" help:"Measure a service or ways to read a database, at loads that do not wait for it."`
	Simulate   simulateCommand   `cmd:"" help:"Predict response times and throughput in virtual time, with the library's own dispatcher and tuner."`
	Analyze    analyzeCommand    `cmd:"" help:"Say how a system is really used, from its logs, and what to do about it."`
	Experience experienceCommand `cmd:"" help:"Say what people feel, as a gateway was told, and what waiting goes with."`
	Version    versionCommand    `cmd:"" help:"Say which build this is."`
}

// terminal is where a command writes and what ends it.
type terminal struct {
	ctx    context.Context // ends on Ctrl-C and SIGTERM
	stdout io.Writer
	stderr io.Writer
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C does not wait
	os.Exit(run(terminal{ctx, os.Stdout, os.Stderr}, os.Args[1:]))
}

// run runs one command and returns its exit code.
func run(t terminal, args []string) (code int) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case exit:
			code = int(p)
		default:
			panic(p)
		}
	}()
	var commands cli
	parser, err := kong.New(&commands,
		kong.Name("fulcrum"),
		kong.Description("Decides, request by request, whether to answer at once or to share the work."),
		kong.Writers(t.stdout, t.stderr),
		kong.Exit(func(code int) { panic(exit(code)) }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
	)
	if err != nil {
		panic(err) // the commands above are wrong
	}
	command, err := parser.Parse(args)
	if err != nil {
		fmt.Fprintf(t.stderr, "fulcrum: %v\nTry: fulcrum --help\n", err)
		return exitUsage
	}
	if err := command.Run(t); errors.Is(err, errReported) {
		return exitFailed
	} else if err != nil {
		fmt.Fprintf(t.stderr, "fulcrum: %v\n", err)
		return exitFailed
	}
	return exitDone
}

// errReported ends a command that has said what is wrong.
var errReported = errors.New("reported")

// exit is how the help, once printed, ends the parser.
type exit int
