; The console: start, the interrupt at the end of each picture, and the pad.
; Addresses and timing: https://www.nesdev.org/wiki/PPU_registers

.export __STARTUP__ : absolute = 1  ; in place of the library's own
.export _wait_frame, _read_pad, _screen_off, _write_vram
.exportzp _row_high, _row_low, _scroll, _control, _mask, _repaint
.export _row_tiles, _palette, _sprites
.import _main, copydata, zerobss, __STACK_START__, __STACK_SIZE__
.importzp sp

PPU_CONTROL = $2000
PPU_MASK    = $2001
PPU_STATUS  = $2002
PPU_SCROLL  = $2005
PPU_ADDRESS = $2006
PPU_DATA    = $2007
OAM_ADDRESS = $2003
OAM_DMA     = $4014
PAD         = $4016

.segment "HEADER"
    .byte "NES", $1A
    .byte 1, 1      ; 16 kB of program, 8 kB of pictures
    .byte 0, 0      ; mapper 0; the two screens of tiles lie one above the other
    .res 8

.segment "ZEROPAGE"
_row_high: .res 1   ; address in the PPU of a row of tiles to write; 0: none
_row_low:  .res 1
_scroll:   .res 1   ; first line of the picture within its screen of tiles
_control:  .res 1
_mask:     .res 1
_repaint:  .res 1   ; 1: write the palette
ready:     .res 1   ; 1: all of the above is complete
ticks:     .res 1

.segment "SPRITES"
_sprites: .res 256

.segment "BSS"
_row_tiles: .res 32
_palette:   .res 32

.segment "STARTUP"
reset:
    sei
    cld
    ldx #$40
    stx $4017       ; no interrupts by the sound chip
    ldx #$FF
    txs
    inx
    stx PPU_CONTROL
    stx PPU_MASK
    stx $4010
    bit PPU_STATUS
@warm:              ; the PPU takes two pictures to start
    bit PPU_STATUS
    bpl @warm
    lda #0
@clear:
    sta $0000,x
    sta $0200,x
    sta $0300,x
    sta $0400,x
    sta $0500,x
    sta $0600,x
    sta $0700,x
    inx
    bne @clear
@warmer:
    bit PPU_STATUS
    bpl @warmer
    lda #<(__STACK_START__ + __STACK_SIZE__)
    sta sp
    lda #>(__STACK_START__ + __STACK_SIZE__)
    sta sp + 1
    jsr zerobss
    jsr copydata
    jmp _main

.segment "CODE"
; At the end of each picture: everything that the PPU takes only now.
nmi:
    pha
    txa
    pha
    lda ready
    beq @done
    lda #0
    sta ready
    sta OAM_ADDRESS
    lda #>_sprites
    sta OAM_DMA
    bit PPU_STATUS
    lda _row_high
    beq @colours
    sta PPU_ADDRESS
    lda _row_low
    sta PPU_ADDRESS
    ldx #0
@tile:
    lda _row_tiles,x
    sta PPU_DATA
    inx
    cpx #32
    bne @tile
    lda #0
    sta _row_high
@colours:
    lda _repaint
    beq @show
    jsr paint
@show:
    lda _control
    sta PPU_CONTROL
    lda #0
    sta PPU_SCROLL
    lda _scroll
    sta PPU_SCROLL
    lda _mask
    sta PPU_MASK
@done:
    inc ticks
    pla
    tax
    pla
irq:
    rti

paint:
    lda #$3F
    sta PPU_ADDRESS
    ldx #0
    stx PPU_ADDRESS
@colour:
    lda _palette,x
    sta PPU_DATA
    inx
    cpx #32
    bne @colour
    lda #0
    sta _repaint
    rts

; void wait_frame(void): the next picture shows what has been prepared.
_wait_frame:
    lda ticks
    ldx #1
    stx ready
@wait:
    cmp ticks
    beq @wait
    rts

; void screen_off(void): blank picture, during which write_vram may be called.
_screen_off:
    lda #0
    sta _mask
    jsr _wait_frame
    rts

; void write_vram(byte value): the next byte of the row whose address was set through row_high and row_low.
_write_vram:
    pha
    bit PPU_STATUS
    lda _row_high
    sta PPU_ADDRESS
    lda _row_low
    sta PPU_ADDRESS
    pla
    sta PPU_DATA
    inc _row_low
    rts

; byte read_pad(void): A $80, B $40, select $20, start $10, up 8, down 4, left 2, right 1.
_read_pad:
    lda #1
    sta PAD
    lsr a
    sta PAD
    ldx #8
    ldy #0
    sty pad
@button:
    lda PAD
    lsr a
    rol pad
    dex
    bne @button
    lda pad
    rts             ; X is 0, the high byte

.segment "BSS"
pad: .res 1

.segment "VECTORS"
    .word nmi, reset, irq
