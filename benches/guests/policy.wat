;; A policy with as little around its hook as the contract allows. `guests.rs` fills in what stands in braces.
;;
;; Memory: the heap's end at 0, the manifest's record at 16, the hook's answer at 64 (all zero: `ok`), what host calls
;; return at 128, text from 1024, a heap from 8192 that every hook starts anew.
(component
  (import "portcullis:policy/types@0.1.0" (instance $types
    (export "call" (type $call (sub resource)))
    (type $denial-record (record
      (field "code" string) (field "message" string)
      (field "retry-after-ms" (option u64)) (field "challenge" (option string))))
    (export "denial" (type (eq $denial-record)))
    (export "[method]call.tenant" (func (param "self" (borrow $call)) (result string)))
    (export "[method]call.method" (func (param "self" (borrow $call)) (result (option string))))
    (export "[method]call.target" (func (param "self" (borrow $call)) (result (option string))))
  ))
  (alias export $types "call" (type $call))
  (alias export $types "denial" (type $denial))

  (core module $heap
    (memory (export "memory") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32)
      (local $at i32)
      (local.set $at (i32.and (i32.add (i32.load (i32.const 0)) (i32.const 7)) (i32.const -8)))
      (i32.store (i32.const 0) (i32.add (local.get $at) (local.get 3)))
      (local.get $at))
    (data (i32.const 0) "\00\20\00\00")
    (data (i32.const 16)
      "\00\04\00\00{name_bytes}\00\00\00" "\40\04\00\00\05\00\00\00" "\48\04\00\00\0c\00\00\00" "\58\04\00\00\02\00\00\00")
    (data (i32.const 1024) "{name}")
    (data (i32.const 1088) "0.1.0")
    (data (i32.const 1096) "A benchmark.")
    (data (i32.const 1112) "{}"))
  (core instance $heap (instantiate $heap))
  (alias core export $heap "memory" (core memory $memory))
  (alias core export $heap "realloc" (core func $realloc))

  (core func $tenant (canon lower (func $types "[method]call.tenant") (memory $memory) (realloc $realloc)))
  (core func $method (canon lower (func $types "[method]call.method") (memory $memory) (realloc $realloc)))
  (core func $target (canon lower (func $types "[method]call.target") (memory $memory) (realloc $realloc)))
  (core func $drop (canon resource.drop $call))

  (core module $policy
    (import "heap" "memory" (memory 1))
    (import "call" "tenant" (func $tenant (param i32 i32)))
    (import "call" "method" (func $method (param i32 i32)))
    (import "call" "target" (func $target (param i32 i32)))
    (import "call" "drop" (func $drop (param i32)))
    (func (export "describe") (result i32) (i32.const 16))
    (func (export "configure") (param i32 i32) (result i32) (i32.const 64))
    (func (export "admit") (param $call i32) (result i32)
      (i32.store (i32.const 0) (i32.const 8192))
      {admit}
      (call $drop (local.get $call))
      (i32.const 64)))
  (core instance $policy (instantiate $policy
    (with "heap" (instance $heap))
    (with "call" (instance
      (export "tenant" (func $tenant)) (export "method" (func $method)) (export "target" (func $target))
      (export "drop" (func $drop))))))

  (type $manifest-record (record
    (field "name" string) (field "version" string) (field "description" string) (field "config-schema" string)))
  (func $describe (result $manifest-record)
    (canon lift (core func $policy "describe") (memory $memory) (realloc $realloc)))
  (func $configure (param "config" string) (result (result (error string)))
    (canon lift (core func $policy "configure") (memory $memory) (realloc $realloc)))
  (func $admit (param "call" (borrow $call)) (result (result (error $denial)))
    (canon lift (core func $policy "admit") (memory $memory) (realloc $realloc)))

  (component $lifecycle
    (type $manifest-record (record
      (field "name" string) (field "version" string) (field "description" string) (field "config-schema" string)))
    (import "manifest" (type $manifest (eq $manifest-record)))
    (import "describe" (func $describe (result $manifest)))
    (import "configure" (func $configure (param "config" string) (result (result (error string)))))
    (export $exported "manifest" (type $manifest))
    (export "describe" (func $describe) (func (result $exported)))
    (export "configure" (func $configure)))
  (instance $lifecycle (instantiate $lifecycle
    (with "manifest" (type $manifest-record)) (with "describe" (func $describe)) (with "configure" (func $configure))))
  (export "portcullis:policy/lifecycle@0.1.0" (instance $lifecycle))

  (component $admission
    (import "call" (type $call (sub resource)))
    (type $denial-record (record
      (field "code" string) (field "message" string)
      (field "retry-after-ms" (option u64)) (field "challenge" (option string))))
    (import "denial" (type $denial (eq $denial-record)))
    (import "admit" (func $admit (param "call" (borrow $call)) (result (result (error $denial)))))
    (export $exported-call "call" (type $call))
    (export $exported-denial "denial" (type $denial))
    (export "admit" (func $admit)
      (func (param "call" (borrow $exported-call)) (result (result (error $exported-denial))))))
  (instance $admission (instantiate $admission
    (with "call" (type $call)) (with "denial" (type $denial)) (with "admit" (func $admit))))
  (export "portcullis:policy/admit@0.1.0" (instance $admission)))
