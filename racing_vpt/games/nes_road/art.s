; Pictures: the road's tiles from $0000, those of sprites from $1000. A pixel is one of four colours; a space is 0.
; On the road: 0 grass, 1 asphalt, 2 lines, 3 shade. In a car: 0 nothing, 1 paint, 2 tyres, 3 windows.

.linecont +

.macro plane line, from, level      ; bit `level` of eight pixels of a line; digits and space end in the colour's bits
    .byte (((.strat(line, from) >> level) & 1) << 7) | (((.strat(line, from + 1) >> level) & 1) << 6) | \
        (((.strat(line, from + 2) >> level) & 1) << 5) | (((.strat(line, from + 3) >> level) & 1) << 4) | \
        (((.strat(line, from + 4) >> level) & 1) << 3) | (((.strat(line, from + 5) >> level) & 1) << 2) | \
        (((.strat(line, from + 6) >> level) & 1) << 1) | ((.strat(line, from + 7) >> level) & 1)
.endmacro

.macro part from, r0, r1, r2, r3, r4, r5, r6, r7    ; a tile, from a column on
    .repeat 2, level
        plane r0, from, level
        plane r1, from, level
        plane r2, from, level
        plane r3, from, level
        plane r4, from, level
        plane r5, from, level
        plane r6, from, level
        plane r7, from, level
    .endrepeat
.endmacro

.macro tile r0, r1, r2, r3, r4, r5, r6, r7
    part 0, r0, r1, r2, r3, r4, r5, r6, r7
.endmacro

.macro half r0, r1, r2, r3, r4, r5, r6, r7, r8, r9, r10, r11, r12, r13, r14, r15   ; 8x16, one sprite
    part 0, r0, r1, r2, r3, r4, r5, r6, r7
    part 0, r8, r9, r10, r11, r12, r13, r14, r15
.endmacro

.macro car r0, r1, r2, r3, r4, r5, r6, r7, r8, r9, r10, r11, r12, r13, r14, r15    ; 16x16, two sprites
    half r0, r1, r2, r3, r4, r5, r6, r7, r8, r9, r10, r11, r12, r13, r14, r15
    part 8, r0, r1, r2, r3, r4, r5, r6, r7
    part 8, r8, r9, r10, r11, r12, r13, r14, r15
.endmacro

.macro lines zero, one              ; a tile of eight equal lines
    .res 8, zero
    .res 8, one
.endmacro

.macro left_kerb shade              ; the kerb begins 0 to 7 pixels into the tile, the road after it
    .repeat 8, o
        lines (($FF >> (o + 3)) | (($E0 >> o) & shade)) & $FF, ($E0 >> o) & $FF
    .endrepeat
.endmacro

.macro right_kerb shade             ; the road ends 0 to 7 pixels into the tile, the kerb comes after it
    .repeat 8, o
        lines (($FF00 >> o) | (($E0 >> o) & shade)) & $FF, ($E0 >> o) & $FF
    .endrepeat
.endmacro

.define bold(row) (((row) | ((row) >> 1)) & $FF)
.define plain(row) (((row) | ((row) >> 1)) ^ $FF)
.define shadow(row) ((((row) | ((row) >> 1)) >> 1) & (((row) | ((row) >> 1)) ^ $FF))

.macro glyph r0, r1, r2, r3, r4, r5, r6     ; a letter in the colour of lines, on asphalt
    .byte plain(r0), plain(r1), plain(r2), plain(r3), plain(r4), plain(r5), plain(r6), $FF
    .byte bold(r0), bold(r1), bold(r2), bold(r3), bold(r4), bold(r5), bold(r6), 0
.endmacro

.macro sign r0, r1, r2, r3, r4, r5, r6      ; a letter as a sprite, with a shadow to its right
    .byte bold(r0), bold(r1), bold(r2), bold(r3), bold(r4), bold(r5), bold(r6), 0
    .byte shadow(r0), shadow(r1), shadow(r2), shadow(r3), shadow(r4), shadow(r5), shadow(r6), 0
    .res 16
.endmacro

.segment "CHARS"
; $00: grass in two shades, so that its passing is seen; a bush; asphalt, plain and with grit
tile "        ", "     3  ", "        ", " 3      ", "        ", "        ", "    3   ", "        "
tile "  3   3 ", "        ", "3   3   ", "      3 ", "  3     ", "3    3  ", "        ", "   3   3"
tile "  3333  ", " 333333 ", "33333333", "33333333", "33333333", " 333333 ", "  3333  ", "   33   "
tile "11111111", "11111111", "11111111", "11111111", "11111111", "11111111", "11111111", "11111111"
tile "11111111", "11311111", "11111111", "11111131", "11111111", "13111111", "11111111", "11111111"
.res 3 * 16
left_kerb $00                       ; $08: light
left_kerb $FF                       ; $10: dark
right_kerb $00                      ; $18
right_kerb $FF                      ; $20
.repeat 8, o                        ; $28: a lane's line
    lines ($C0 >> o) ^ $FF, $C0 >> o
.endrepeat
; $30: digits and letters at their places in ASCII
glyph $70, $88, $98, $A8, $C8, $88, $70
glyph $20, $60, $20, $20, $20, $20, $70
glyph $70, $88, $08, $10, $20, $40, $F8
glyph $70, $88, $08, $30, $08, $88, $70
glyph $10, $30, $50, $90, $F8, $10, $10
glyph $F8, $80, $F0, $08, $08, $88, $70
glyph $70, $80, $80, $F0, $88, $88, $70
glyph $F8, $08, $10, $20, $20, $20, $20
glyph $70, $88, $88, $70, $88, $88, $70
glyph $70, $88, $88, $78, $08, $08, $70
.res 7 * 16
glyph $70, $88, $88, $F8, $88, $88, $88 ; $41: A
glyph $F0, $88, $88, $F0, $88, $88, $F0
glyph $70, $88, $80, $80, $80, $88, $70
glyph $F0, $88, $88, $88, $88, $88, $F0
glyph $F8, $80, $80, $F0, $80, $80, $F8
glyph $F8, $80, $80, $F0, $80, $80, $80
glyph $70, $88, $80, $B8, $88, $88, $70
glyph $88, $88, $88, $F8, $88, $88, $88
glyph $70, $20, $20, $20, $20, $20, $70
glyph $38, $10, $10, $10, $10, $90, $60
glyph $88, $90, $A0, $C0, $A0, $90, $88
glyph $80, $80, $80, $80, $80, $80, $F8
glyph $88, $D8, $A8, $A8, $88, $88, $88
glyph $88, $C8, $A8, $98, $88, $88, $88
glyph $70, $88, $88, $88, $88, $88, $70
glyph $F0, $88, $88, $F0, $80, $80, $80
glyph $70, $88, $88, $88, $A8, $90, $68
glyph $F0, $88, $88, $F0, $A0, $90, $88
glyph $70, $88, $80, $70, $08, $88, $70
glyph $F8, $20, $20, $20, $20, $20, $20
glyph $88, $88, $88, $88, $88, $88, $70
glyph $88, $88, $88, $88, $88, $50, $20
glyph $88, $88, $88, $A8, $A8, $D8, $88
glyph $88, $88, $50, $20, $50, $88, $88
glyph $88, $88, $50, $20, $20, $20, $20
glyph $F8, $08, $10, $20, $40, $80, $F8
.res 16 * ($100 - $5B)

; $1000: a car
car "     111111     ", \
    "    11333311    ", \
    "  221111111122  ", \
    "  221133331122  ", \
    "  221322223122  ", \
    "    13222231    ", \
    "    11111111    ", \
    "    11333311    ", \
    "    11333311    ", \
    "    11111111    ", \
    "    13222231    ", \
    "  221322223122  ", \
    "  221333333122  ", \
    "  221111111122  ", \
    "    11222211    ", \
    "    11111111    "
; $1040: the same turning left
car "   111111       ", \
    "  11333311      ", \
    "221111111122    ", \
    "221133331122    ", \
    "221322223122    ", \
    "  13222231      ", \
    "   11111111     ", \
    "   11333311     ", \
    "   11333311     ", \
    "   11111111     ", \
    "    13222231    ", \
    "  221322223122  ", \
    "  221333333122  ", \
    "  221111111122  ", \
    "    11222211    ", \
    "    11111111    "
; $1080: across the road
car "                ", \
    "                ", \
    "  2222    2222  ", \
    "  2222    2222  ", \
    " 11111111111111 ", \
    "1113311111333111", \
    "1132231113223311", \
    "1132231113223331", \
    "1132231113223331", \
    "1132231113223311", \
    "1113311111333111", \
    " 11111111111111 ", \
    "  2222    2222  ", \
    "  2222    2222  ", \
    "                ", \
    "                "
; $10C0: a lorry
car "   1111111111   ", \
    "   1333333331   ", \
    "  213222222312  ", \
    "  211111111112  ", \
    "   2222222222   ", \
    "  111111111111  ", \
    "  131313131311  ", \
    "  111111111111  ", \
    "  133333333331  ", \
    "  111111111111  ", \
    "  133333333331  ", \
    "  111111111111  ", \
    " 21333333333312 ", \
    " 21111111111112 ", \
    "  131313131311  ", \
    "  112222222211  "
; $1100: a brake light, for one side of a car
half "        ", "        ", "        ", "        ", "        ", "        ", "        ", "        ", \
     "        ", "        ", "        ", "        ", "        ", "    333 ", "    333 ", "    333 "
; $1120: digits
sign $70, $88, $98, $A8, $C8, $88, $70
sign $20, $60, $20, $20, $20, $20, $70
sign $70, $88, $08, $10, $20, $40, $F8
sign $70, $88, $08, $30, $08, $88, $70
sign $10, $30, $50, $90, $F8, $10, $10
sign $F8, $80, $F0, $08, $08, $88, $70
sign $70, $80, $80, $F0, $88, $88, $70
sign $F8, $08, $10, $20, $20, $20, $20
sign $70, $88, $88, $70, $88, $88, $70
sign $70, $88, $88, $78, $08, $08, $70
; $1260: TIMEUP
sign $F8, $20, $20, $20, $20, $20, $20
sign $70, $20, $20, $20, $20, $20, $70
sign $88, $D8, $A8, $A8, $88, $88, $88
sign $F8, $80, $80, $F0, $80, $80, $F8
sign $88, $88, $88, $88, $88, $88, $70
sign $F0, $88, $88, $F0, $80, $80, $80
