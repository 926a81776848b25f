/* For unwind_bare.c: leaves without unwind information, that spin count times. */
	.macro	leaf name
	.globl	\name
	.type	\name, @function
\name:
	.endm
	.macro	spin
1:	dec	%rdi
	jnz	1b
	.endm

	.text
leaf bare
	spin
	ret
	.size	bare, . - bare

leaf bare_rbp
	push	%rbp
	spin
	pop	%rbp
	ret
	.size	bare_rbp, . - bare_rbp

leaf bare_rbx
	push	%rbx
	xor	%ebx, %ebx
	spin
	pop	%rbx
	ret
	.size	bare_rbx, . - bare_rbx

leaf bare_frame
	push	%rbp
	mov	%rsp, %rbp
	spin
	pop	%rbp
	ret
	.size	bare_frame, . - bare_frame

/* Far more than one word of locals: only the frame pointer tells. */
leaf bare_locals
	push	%rbp
	mov	%rsp, %rbp
	sub	$64, %rsp
	movq	$0, (%rsp)
	movq	$0, 8(%rsp)
	spin
	leave
	ret
	.size	bare_locals, . - bare_locals

	.section .note.GNU-stack, "", @progbits
