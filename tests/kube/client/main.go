// What of kube-apiserver deals with service account tokens: its client of an external signer, and its authenticator,
// as they are. Reads one JSON object a line, and answers each with one.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/google/uuid"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/kubernetes/pkg/apis/core"
	"k8s.io/kubernetes/pkg/serviceaccount"
	"k8s.io/kubernetes/pkg/serviceaccount/externaljwt/plugin"
)

type question struct {
	Do        string   `json:"do"`
	Seconds   int64    `json:"seconds"`
	Audiences []string `json:"audiences"`
	Token     string   `json:"token"`
}

type answer struct {
	Error   string   `json:"error,omitempty"`
	Token   string   `json:"token,omitempty"`
	User    string   `json:"user,omitempty"`
	Kids    []string `json:"kids,omitempty"`
	Seconds int64    `json:"seconds,omitempty"`
	TookMs  int64    `json:"tookMs"`
}

const (
	namespace = "payments"
	account   = "ledger"
	pod       = "ledger-0"
	node      = "node-1.test"
)

func uid(name string) types.UID { return types.UID(uuid.NewSHA1(uuid.Nil, []byte(name)).String()) }

// objects is the cluster's store, as far as the authenticator looks into it.
type objects struct{}

func (objects) GetServiceAccount(ns, name string) (*v1.ServiceAccount, error) {
	return &v1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name, UID: uid(name)}}, nil
}
func (objects) GetPod(ns, name string) (*v1.Pod, error) {
	return &v1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name, UID: uid(name)},
		Spec:       v1.PodSpec{NodeName: node, ServiceAccountName: account},
	}, nil
}
func (objects) GetSecret(ns, name string) (*v1.Secret, error) {
	return nil, fmt.Errorf("no secret")
}
func (objects) GetNode(name string) (*v1.Node, error) {
	return &v1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, UID: uid(name)}}, nil
}

func main() {
	socket, issuer := os.Args[1], os.Args[2]
	ctx := context.Background()
	// The arguments of pkg/controlplane/apiserver/options.
	signer, keys, err := plugin.New(ctx, issuer, socket, 60*time.Second, false)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	verifier := serviceaccount.JWTTokenAuthenticator(
		[]string{issuer}, keys, authenticator.Audiences{issuer}, serviceaccount.NewValidator(objects{}))
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	write := json.NewEncoder(os.Stdout)
	for lines.Scan() {
		var q question
		if err := json.Unmarshal(lines.Bytes(), &q); err != nil {
			panic(err)
		}
		start := time.Now()
		a := answer{}
		switch q.Do {
		case "token":
			sa := core.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: account, UID: uid(account)}}
			ofPod := core.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: pod, UID: uid(pod)}}
			ofNode := core.Node{ObjectMeta: metav1.ObjectMeta{Name: node, UID: uid(node)}}
			claims, private, err := serviceaccount.Claims(sa, &ofPod, nil, &ofNode, q.Seconds, 0, q.Audiences)
			if err != nil {
				panic(err)
			}
			// As long as kube-apiserver lets a request take.
			limited, cancel := context.WithTimeout(ctx, 60*time.Second)
			a.Token, err = signer.GenerateToken(limited, claims, private)
			cancel()
			if err != nil {
				a.Error = err.Error()
			}
		case "authenticate":
			response, ok, err := verifier.AuthenticateToken(ctx, q.Token)
			switch {
			case err != nil:
				a.Error = err.Error()
			case !ok:
				a.Error = "not this issuer's"
			default:
				a.User = response.User.GetName()
			}
		case "keys":
			for _, key := range keys.GetPublicKeys(ctx, "") {
				a.Kids = append(a.Kids, key.KeyID)
			}
		case "metadata":
			metadata, err := signer.GetServiceMetadata(ctx)
			if err != nil {
				a.Error = err.Error()
			} else {
				a.Seconds = metadata.MaxTokenExpirationSeconds
			}
		}
		a.TookMs = time.Since(start).Milliseconds()
		if err := write.Encode(a); err != nil {
			panic(err)
		}
	}
}
