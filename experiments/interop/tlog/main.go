// Checks Pulsefold's transparency log with software that is not ours: golang.org/x/mod/sumdb (notes, tiles, proofs)
// and github.com/transparency-dev/formats (cosignatures, tlog-proof, policies).
//
//	vectors                      writes test vectors (crypto/vectors/tlog.json): everything in them was made by Go code
//	log DIR POLICY               verifies an exported log directory: checkpoint, quorum, tiles, entry bundles, proofs
//	proof FILE LEAF_FILE POLICY  verifies a .tlog-proof for the bytes of a leaf
//	key                          prints the key of the log that "witness" plays
//	witness URL VKEY             plays a log to a running witness: growth, a fork, a rollback
//
// Run by experiments/interop/tlog.slow.test.ts where Go is installed.
package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	f_note "github.com/transparency-dev/formats/note"
	"github.com/transparency-dev/formats/proof"
	"github.com/transparency-dev/formats/witness"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func must[T any](value T, err error) T {
	check(err)
	return value
}

func require(condition bool, format string, arguments ...any) {
	if !condition {
		check(fmt.Errorf(format, arguments...))
	}
}

func main() {
	arguments := os.Args[1:]
	require(len(arguments) > 0, "vectors | log DIR POLICY | proof FILE LEAF POLICY | key | witness URL VKEY")
	switch {
	case arguments[0] == "vectors":
		vectors()
	case arguments[0] == "key":
		_, vkey := key(played, 1, 3)
		fmt.Println(vkey)
	case arguments[0] == "log" && len(arguments) == 3:
		verifyLog(arguments[1], must(os.ReadFile(arguments[2])))
	case arguments[0] == "proof" && len(arguments) == 4:
		verifyProof(must(os.ReadFile(arguments[1])), must(os.ReadFile(arguments[2])), must(os.ReadFile(arguments[3])))
	case arguments[0] == "witness" && len(arguments) == 3:
		playLog(arguments[1], arguments[2])
	default:
		check(fmt.Errorf("unknown command %v", arguments))
	}
}

// A log in memory.
type memory struct{ hashes []tlog.Hash }

func (m *memory) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		out[i] = m.hashes[index]
	}
	return out, nil
}

func (m *memory) add(n int64, data []byte) {
	m.hashes = append(m.hashes, must(tlog.StoredHashes(n, data, m))...)
}

func entry(n int64) []byte { return []byte(fmt.Sprintf(`{"leaf":%d}`, n)) }

func newLog(size int64) *memory {
	m := &memory{}
	for n := int64(0); n < size; n++ {
		m.add(n, entry(n))
	}
	return m
}

func text(origin string, size int64, root tlog.Hash) string {
	return fmt.Sprintf("%s\n%d\n%s\n", origin, size, base64.StdEncoding.EncodeToString(root[:]))
}

// Names of the golang tools, without the height: tile/8/0/001 is tile/0/001 in tlog-tiles.
func c2spPath(t tlog.Tile) string {
	return strings.Replace(strings.Replace(t.Path(), "tile/8/data/", "tile/entries/", 1), "tile/8/", "tile/", 1)
}

func key(name string, kind byte, seed byte) (skey, vkey string) {
	secret := bytes.Repeat([]byte{seed}, ed25519.SeedSize)
	public := ed25519.NewKeyFromSeed(secret).Public().(ed25519.PublicKey)
	typed := append([]byte{kind}, public...)
	digest := sha256.Sum256(append([]byte(name+"\n"), typed...))
	id := hex.EncodeToString(digest[:4])
	encode := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("PRIVATE+KEY+%s+%s+%s", name, id, encode(append([]byte{kind}, secret...))),
		fmt.Sprintf("%s+%s+%s", name, id, encode(typed))
}

func hashes(list []tlog.Hash) []string {
	out := []string{}
	for _, h := range list {
		out = append(out, hex.EncodeToString(h[:]))
	}
	return out
}

func vectors() {
	const origin = "log.example/vectors"
	logSkey, logVkey := key(origin, 1, 1)
	witSkey, witVkey := key("witness.example/ed", 4, 2)
	mlSkey, mlVkey, err := f_note.GenerateMLDSAKey("witness.example/ml")
	check(err)
	signers := []note.Signer{must(note.NewSigner(logSkey)), must(f_note.NewSignerForCosignatureV1(witSkey)),
		must(f_note.NewSignerForCosignatureV1(mlSkey))}
	const size = 700
	m := newLog(size)
	root := must(tlog.TreeHash(size, m))
	cosigned := must(note.Sign(&note.Note{Text: text(origin, size, root)}, signers...))

	tiles := map[string]string{}
	for _, t := range tlog.NewTiles(8, 0, size) {
		data := must(tlog.ReadTileData(t, m))
		digest := sha256.Sum256(data)
		tiles[c2spPath(t)] = hex.EncodeToString(digest[:])
	}
	paths := map[string]string{}
	for _, n := range []int64{0, 1, 999, 1000, 1234067, 123456789} {
		paths[fmt.Sprintf("5/%d/256", n)] = c2spPath(tlog.Tile{H: 8, L: 5, N: n, W: 256})
		paths[fmt.Sprintf("0/%d/7", n)] = c2spPath(tlog.Tile{H: 8, L: 0, N: n, W: 7})
		paths[fmt.Sprintf("entries/%d/256", n)] = c2spPath(tlog.Tile{H: 8, L: -1, N: n, W: 256})
	}
	type consistency struct {
		Old   int64    `json:"old"`
		Size  int64    `json:"size"`
		Roots []string `json:"roots"`
		Proof []string `json:"proof"`
	}
	var grown []consistency
	for _, pair := range [][2]int64{{1, 2}, {3, 7}, {255, 256}, {256, 700}, {257, 513}, {511, 700}, {699, 700}} {
		roots := []tlog.Hash{must(tlog.TreeHash(pair[0], m)), must(tlog.TreeHash(pair[1], m))}
		grown = append(grown, consistency{pair[0], pair[1], hashes(roots), hashes(must(tlog.ProveTree(pair[1], pair[0], m)))})
	}
	var inclusion [][32]byte
	for _, h := range must(tlog.ProveRecord(size, 511, m)) {
		inclusion = append(inclusion, h)
	}
	tlogProof := proof.TLogProof{Index: 511, Hashes: inclusion, Checkpoint: cosigned, ExtraData: entry(511)}
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	check(encoder.Encode(map[string]any{
		"madeBy":      "experiments/interop/tlog vectors: golang.org/x/mod, github.com/transparency-dev/formats, filippo.io/mldsa",
		"entry":       `{"leaf":N}`,
		"size":        size,
		"root":        hex.EncodeToString(root[:]),
		"keys":        map[string]string{"log": logVkey, "ed25519": witVkey, "mlDsa44": mlVkey},
		"checkpoint":  string(cosigned),
		"tileSha256":  tiles,
		"tilePaths":   paths,
		"consistency": grown,
		"tlogProof":   string(tlogProof.Marshal()),
	}))
}

// The log keys of a policy file, which the parser of formats leaves aside.
func logVerifiers(policy []byte) []note.Verifier {
	var out []note.Verifier
	for line := range strings.Lines(string(policy)) {
		if fields := strings.Fields(line); len(fields) >= 2 && fields[0] == "log" {
			out = append(out, must(note.NewVerifier(fields[1])))
		}
	}
	return out
}

func openUnder(checkpoint, policy []byte) (origin string, size int64, root tlog.Hash) {
	opened := must(note.Open(checkpoint, note.VerifierList(logVerifiers(policy)...)))
	group := must(witness.ParsePolicy(policy))
	require(group.Satisfied(checkpoint), "the checkpoint is not cosigned by a quorum")
	lines := strings.Split(opened.Text, "\n")
	require(len(lines) == 4, "the checkpoint has extension lines")
	_, err := fmt.Sscanf(lines[1], "%d", &size)
	check(err)
	copy(root[:], must(base64.StdEncoding.DecodeString(lines[2])))
	return lines[0], size, root
}

type directory struct{ path string }

func (directory) Height() int                             { return 8 }
func (directory) SaveTiles(tiles []tlog.Tile, _ [][]byte) {}
func (d directory) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var out [][]byte
	for _, t := range tiles {
		data, err := os.ReadFile(filepath.Join(d.path, c2spPath(t)))
		if err != nil {
			return nil, err
		}
		out = append(out, data)
	}
	return out, nil
}

func verifyLog(path string, policy []byte) {
	origin, size, root := openUnder(must(os.ReadFile(filepath.Join(path, "checkpoint"))), policy)
	reader := tlog.TileHashReader(tlog.Tree{N: size, Hash: root}, directory{path})
	entries := int64(0)
	for n := int64(0); n*256 < size; n++ {
		width := min(256, size-n*256)
		data := must(os.ReadFile(filepath.Join(path, c2spPath(tlog.Tile{H: 8, L: -1, N: n, W: int(width)}))))
		for i := int64(0); i < width; i++ {
			require(len(data) >= 2, "bundle %d ends early", n)
			length := int(data[0])<<8 | int(data[1])
			require(len(data) >= 2+length, "bundle %d ends early", n)
			leaf := tlog.RecordHash(data[2 : 2+length])
			// The proof is made from tiles that TileHashReader has checked against the signed root.
			check(tlog.CheckRecord(must(tlog.ProveRecord(size, entries, reader)), size, root, entries, leaf))
			data = data[2+length:]
			entries++
		}
		require(len(data) == 0, "bundle %d goes on", n)
	}
	for old := int64(1); old < size; old = old*2 + 1 {
		hash := must(tlog.TreeHash(old, reader))
		check(tlog.CheckTree(must(tlog.ProveTree(size, old, reader)), size, root, old, hash))
	}
	fmt.Printf("log %s: %d entries, tiles and proofs verify\n", origin, entries)
}

func verifyProof(data, leaf, policy []byte) {
	var p proof.TLogProof
	check(p.Unmarshal(data))
	origin, size, root := openUnder(p.Checkpoint, policy)
	var path tlog.RecordProof
	for _, h := range p.Hashes {
		path = append(path, h)
	}
	check(tlog.CheckRecord(path, size, root, int64(p.Index), tlog.RecordHash(leaf)))
	fmt.Printf("proof: leaf %d of %d in %s verifies\n", p.Index, size, origin)
}

func post(url string, old int64, proof []tlog.Hash, checkpoint []byte) (int, string) {
	var body bytes.Buffer
	fmt.Fprintf(&body, "old %d\n", old)
	for _, h := range proof {
		fmt.Fprintf(&body, "%s\n", base64.StdEncoding.EncodeToString(h[:]))
	}
	body.WriteByte('\n')
	body.Write(checkpoint)
	response := must(http.Post(strings.TrimSuffix(url, "/")+"/add-checkpoint", "text/plain", &body))
	defer response.Body.Close()
	return response.StatusCode, string(must(io.ReadAll(response.Body)))
}

const played = "log.example/played"

func playLog(url, vkey string) {
	const origin = played
	skey, _ := key(origin, 1, 3)
	signer := must(note.NewSigner(skey))
	verifier := must(f_note.NewVerifierForCosignatureV1(vkey))
	m := newLog(300)
	sign := func(m *memory, size int64) []byte {
		return must(note.Sign(&note.Note{Text: text(origin, size, must(tlog.TreeHash(size, m)))}, signer))
	}
	expect := func(what string, want int, status int, answer string) {
		require(status == want, "%s: expected %d, got %d %q", what, want, status, answer)
	}
	old := int64(0)
	for _, size := range []int64{1, 2, 255, 256, 300} {
		var path []tlog.Hash
		if old > 0 {
			path = must(tlog.ProveTree(size, old, m))
		}
		checkpoint := sign(m, size)
		status, answer := post(url, old, path, checkpoint)
		expect("growth", 200, status, answer)
		must(note.Open(append(checkpoint, answer...), note.VerifierList(verifier)))
		old = size
	}
	fork := &memory{}
	for n := int64(0); n < 400; n++ {
		data := entry(n)
		if n == 7 {
			data = []byte("another history")
		}
		fork.add(n, data)
	}
	status, answer := post(url, 300, must(tlog.ProveTree(400, 300, fork)), sign(fork, 400))
	expect("fork", 422, status, answer)
	status, answer = post(url, 300, nil, sign(fork, 300))
	expect("fork of the same size", 422, status, answer)
	status, answer = post(url, 256, nil, sign(m, 256))
	expect("rollback", 409, status, answer)
	require(answer == "300\n", "rollback: the answer must be 300, got %q", answer)
	status, answer = post(url, 300, nil, sign(m, 256))
	expect("old size above the size", 400, status, answer)
	fmt.Println("witness: growth cosigned, fork and rollback refused")
}
