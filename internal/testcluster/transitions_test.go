package testcluster_test

import (
	"context"
	"math/rand/v2"
	"testing"

	"github.com/undercroft/undercroft/internal/single"
	"github.com/undercroft/undercroft/internal/testcluster"
	"github.com/undercroft/undercroft/internal/vfs/faultfs"
	"github.com/undercroft/undercroft/objects"
	"github.com/undercroft/undercroft/partition"
	"github.com/undercroft/undercroft/s3"
)

// move moves an object to another storage class.
func (s *script) move(key string, class s3.StorageClass) {
	k := s3.Key(s.prefix + key)
	e := effect{classOf(k): string(class)}
	if class == s3.StorageStandard {
		e[classOf(k)] = ""
	}
	s.add(e, func(ctx context.Context, svc *objects.Service) error {
		_, err := svc.Transition(ctx, objects.TransitionInput{Bucket: bucket, Key: k, Class: class})
		return err
	})
}

// newMover is a client that moves some of everything.
func newMover(n uint64) *script {
	s := &script{prefix: "mover/", uploads: map[s3.Key]s3.UploadID{}}
	const rare, cold s3.StorageClass = "STANDARD_IA", "COLD"
	s.put("inline", content(n, 100))
	s.put("batched", content(n+1, 9000))
	s.put("large", content(n+2, 300<<10))
	s.copy("batched", "copy")
	s.begin("upload")
	s.part("upload", 1, content(n+3, 11_000))
	s.complete("upload", 1)
	s.move("inline", cold)
	s.move("batched", cold)
	s.move("large", rare)
	s.move("upload", cold)
	s.move("copy", rare)
	s.move("large", cold)
	s.move("upload", s3.StorageStandard)
	s.move("batched", s3.StorageStandard)
	return s
}

// TestTransitionsSurvivePowerLoss loses the power before every sync of a client
// that moves objects between storage classes while what it leaves is freed: each
// object is in the one class or in the other, whole.
func TestTransitionsSurvivePowerLoss(t *testing.T) {
	const passes = 6
	total := 0
	for pass := range int64(passes) {
		if pass > 1 && !long() {
			break
		}
		scripts := []*script{newMover(40)}
		k := &crasher{scripts: scripts, wanted: sweep(pass, passes, 4), rng: rand.New(rand.NewPCG(3, uint64(pass)))}
		cluster := testcluster.New(t, testcluster.Options{Disks: 5, Edit: func(o *single.Options) {
			o.Classes = map[string]partition.Scheme{"STANDARD_IA": {K: 3, M: 2}, "COLD": {K: 1, M: 2}}
		}})
		if _, err := cluster.Objects.CreateBucket(t.Context(), objects.CreateBucketInput{Name: bucket}); err != nil {
			t.Fatal(err)
		}
		k.install(cluster.Faults, cluster.Mem())
		scripts[0].after = func() { cluster.RunSteward() }
		runAll(t, cluster.Objects, scripts)
		cluster.Faults.Hook(nil)
		k.take(cluster.Mem(), k.number.Load()+1, faultfs.Op{Name: "(end)"}, 0)
		cluster.Stop()
		total += len(k.taken)
		verifyAll(t, k.taken, scripts, 1000)
		if t.Failed() {
			return
		}
	}
	t.Logf("%d crashes", total)
	if total < 20 {
		t.Errorf("%d crashes: the sweep sees too little", total)
	}
}
