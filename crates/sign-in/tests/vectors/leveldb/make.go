// Makes the databases beside this file with the library of docker_auth: its version, its options, and
// records encoded as docker_auth encodes them. Run it in a module that has goleveldb 1.0.0:
//
//	go mod init vectors && go get github.com/syndtr/goleveldb@v1.0.0 && go run make.go
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/syndtr/goleveldb/leveldb"
	"github.com/syndtr/goleveldb/leveldb/util"
)

// The members of a record, in their order.
type record struct {
	TokenType      string              `json:"token_type,omitempty"`
	AccessToken    string              `json:"access_token,omitempty"`
	RefreshToken   string              `json:"refresh_token,omitempty"`
	ValidUntil     time.Time           `json:"valid_until,omitempty"`
	DockerPassword string              `json:"docker_password,omitempty"`
	Labels         map[string][]string `json:"labels,omitempty"`
}

// bcrypt of `sesame`.
const hash = "$2a$10$wm.q8C3wnTJHn6oIb1rkru3fyQTSNoUwBObrXyfF0WXQdfv2D5MYi"

func encoded(round int) []byte {
	data, err := json.Marshal(record{
		TokenType:      "bearer",
		AccessToken:    fmt.Sprintf("at<%d>", round),
		ValidUntil:     time.Date(2030, 1, 2, 3, 4, 5, 678901234, time.FixedZone("", 3600)),
		DockerPassword: hash,
		Labels:         map[string][]string{"teams": {"core", "ops"}},
	})
	check(err)
	return data
}

// Opens a database as docker_auth does, which also moves an earlier log into a table.
func with(name string, change func(db *leveldb.DB)) {
	db, err := leveldb.OpenFile(name, nil)
	check(err)
	change(db)
	check(db.Close())
}

func put(db *leveldb.DB, user string, round int) {
	check(db.Put([]byte("t:"+user), encoded(round), nil))
}

func drop(db *leveldb.DB, user string) {
	check(db.Delete([]byte("t:"+user), nil))
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	for _, name := range []string{"log", "reopened", "compacted"} {
		check(os.RemoveAll(name))
	}
	// Everything is in the log: ann with her second record, not eve. A value is larger than the
	// blocks of a log.
	with("log", func(db *leveldb.DB) {
		put(db, "ann", 1)
		put(db, "eve", 1)
		put(db, "ann", 2)
		put(db, "bob@example.com", 1)
		drop(db, "eve")
		check(db.Put([]byte("other"), make([]byte, 40000), nil))
	})
	// Three starts of the server: tables and a log. The later record of ann is in another file.
	with("reopened", func(db *leveldb.DB) {
		put(db, "ann", 1)
		put(db, "eve", 1)
		put(db, "zoë", 1)
	})
	with("reopened", func(db *leveldb.DB) {
		put(db, "ann", 2)
		drop(db, "eve")
	})
	with("reopened", func(db *leveldb.DB) {
		put(db, "bob@example.com", 3)
		drop(db, "zoë")
	})
	// Tables of several blocks, after a compaction, and a log with later records.
	with("compacted", func(db *leveldb.DB) {
		for n := 0; n < 200; n++ {
			put(db, fmt.Sprintf("user-%03d", n), 1)
		}
	})
	with("compacted", func(db *leveldb.DB) {
		for n := 0; n < 200; n += 2 {
			put(db, fmt.Sprintf("user-%03d", n), 2)
		}
		for n := 0; n < 200; n += 5 {
			drop(db, fmt.Sprintf("user-%03d", n))
		}
		check(db.CompactRange(util.Range{}))
		put(db, "user-001", 4)
	})
}
