;; A policy whose memories are three instances', and grow together: a module may have one of its own alone.
;;
;; Memory: the heap's end at 0, the manifest's record at 16, the hook's answer at 64, text from 1024, a heap from 8192.
;; What stands in braces is filled in by `memory.rs`.
(component
  (import "portcullis:policy/types@0.1.0" (instance $types
    (export "call" (type $call (sub resource)))
    (type $denial-record (record
      (field "code" string) (field "message" string)
      (field "retry-after-ms" (option u64)) (field "challenge" (option string))))
    (export "denial" (type (eq $denial-record)))
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
    (data (i32.const 1096) "It hoards. ")
    (data (i32.const 1112) "{}"))
  (core instance $heap (instantiate $heap))
  (alias core export $heap "memory" (core memory $memory))
  (alias core export $heap "realloc" (core func $realloc))

  (core func $drop (canon resource.drop $call))

  (core module $hoard
    (memory 0)
    (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0))))
  (core instance $first (instantiate $hoard))
  (core instance $second (instantiate $hoard))
  (core instance $third (instantiate $hoard))

  (core module $policy
    (import "heap" "memory" (memory 1))
    (import "first" "grow" (func $first (param i32) (result i32)))
    (import "second" "grow" (func $second (param i32) (result i32)))
    (import "third" "grow" (func $third (param i32) (result i32)))
    (import "call" "drop" (func $drop (param i32)))
    (func (export "describe") (result i32) (i32.const 16))
    (func (export "configure") (param i32 i32) (result i32) (i32.const 64))
    (func (export "admit") (param $call i32) (result i32)
      (i32.store (i32.const 0) (i32.const 8192))
      (loop $more
        (drop (call $first (i32.const 16)))
        (drop (call $second (i32.const 16)))
        (drop (call $third (i32.const 16)))
        (br $more))
      (call $drop (local.get $call))
      (i32.const 64)))
  (core instance $policy (instantiate $policy
    (with "heap" (instance $heap))
    (with "first" (instance $first)) (with "second" (instance $second)) (with "third" (instance $third))
    (with "call" (instance
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
