import { Html } from './html.ts'

/**
 * Light, dark and printed. The colours of groups, kinds and states are told apart with any colour vision (Okabe and Ito,
 * "Color Universal Design", 2008), and are never the only difference.
 */
export const STYLE: Html = new Html(`
:root{color-scheme:light dark;--label:9.5rem;--ground:#fbfbfa;--card:#fff;--ink:#1b1d21;--soft:#5d636e;--line:#e2e4e8;--strong:#b9bec7;--stripe:#f5f6f8;
--blue:#0072b2;--orange:#e69f00;--green:#009e73;--purple:#b0578d;--sky:#56b4e9;--red:#d55e00;--yellow:#d8c71f;--grey:#8b919c;--good:#00785a;--bad:#b3400a;--letter:#fff}
@media screen and (prefers-color-scheme:dark){:root{--ground:#14161a;--card:#1b1e24;--ink:#e8eaee;--soft:#a2a9b6;--line:#2c3038;--strong:#525a68;--stripe:#20242b;
--blue:#4aa3df;--orange:#f0b429;--green:#2dbf95;--purple:#d893bd;--sky:#9bd3f5;--red:#f0813a;--yellow:#f0e442;--grey:#868d9a;--good:#2dbf95;--bad:#ff8a4a;--letter:#111}}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans","DejaVu Sans",sans-serif}
main{max-width:1240px;margin:0 auto;padding:1.5rem}
h1{font-size:2rem;line-height:1.1;margin:0}
h2{font-size:1.25rem;margin:2.25rem 0 .75rem}
h3{font-size:1rem;margin:0}
p{margin:.25rem 0}
a{color:var(--blue)}
code{font:.9em ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;overflow-wrap:anywhere}
:focus-visible{outline:2px solid var(--blue);outline-offset:2px}
.defs{position:absolute}
.verdict{display:flex;gap:1.1rem;align-items:center;padding:1.25rem 1.4rem;background:var(--card);border:1px solid var(--line);border-left:6px solid var(--good);border-radius:10px}
.failed.verdict{border-left-color:var(--bad)}
.sign{flex:none}.sign circle{fill:var(--good)}.sign path{fill:none;stroke:var(--card);stroke-width:5;stroke-linecap:round;stroke-linejoin:round}
.failed .sign circle{fill:var(--bad)}
.passed h1{color:var(--good)}.failed h1{color:var(--bad)}
.lead{font-size:1.05rem}
.failures{margin-top:1rem;padding:.9rem 1.4rem;background:var(--card);border:1px solid var(--bad);border-radius:10px}
.failures h2{margin:0 0 .25rem}.failures ol{margin:0;padding-left:1.4rem}.failures li{margin:.2rem 0;overflow-wrap:anywhere}
.repeat{margin:1rem 0;color:var(--soft)}
.command{display:flex;align-items:center;gap:.75rem;background:var(--card);border:1px solid var(--line);border-radius:8px;padding:.5rem .5rem .5rem .9rem;color:var(--ink)}
.command code{flex:1}
.repeat p{font-size:.9rem;padding:.25rem .1rem}
button{font:inherit;font-size:.9rem;padding:.2rem .8rem;border:1px solid var(--strong);border-radius:6px;background:var(--stripe);color:var(--ink);cursor:pointer}
button:hover{border-color:var(--blue)}
.figures{display:grid;grid-template-columns:repeat(5,1fr);gap:1px;margin:0;background:var(--line);border:1px solid var(--line);border-radius:10px;overflow:hidden}
.figures div{background:var(--card);padding:.7rem .9rem}
.figures dt{color:var(--soft);font-size:.85rem}.figures dd{margin:0;font-size:1.3rem;font-weight:600;font-variant-numeric:tabular-nums;line-height:1.25}
.figures small{display:block;font-size:.78rem;font-weight:400;color:var(--soft)}
.parameters{margin-top:.75rem}.parameters dl{display:grid;grid-template-columns:repeat(auto-fill,minmax(14rem,1fr));gap:.1rem 1.5rem;margin:.4rem 0}
.parameters dl div{display:flex;justify-content:space-between;gap:1rem;border-bottom:1px solid var(--line)}.parameters dt{color:var(--soft)}.parameters dd{margin:0;overflow-wrap:anywhere}
summary{cursor:pointer;color:var(--soft)}
#plots{position:relative;background:var(--card);border:1px solid var(--line);border-radius:10px;padding:0 1.2rem .4rem}
#cursor{position:absolute;top:0;bottom:0;width:0;border-left:1.5px solid var(--ink);opacity:.75;pointer-events:none;z-index:2;left:calc(1.2rem + var(--label) + (100% - 2.4rem - var(--label))*var(--at,0))}
#moment{position:sticky;top:0;z-index:3;background:var(--card);border-bottom:1px solid var(--line);border-radius:10px 10px 0 0;padding:.5rem 1.2rem;margin:0 -1.2rem}
#moment input{width:calc(100% + 16px);margin:0 -8px;accent-color:var(--blue)}
.told{display:flex;gap:1rem;align-items:start;justify-content:space-between}.zoom{flex:none;display:flex;gap:.3rem}.zoom button:disabled{opacity:.45;cursor:default}
.zoomed .area .window{overflow:hidden}
#readout{display:block;min-height:1.5em;font-size:.9rem;font-variant-numeric:tabular-nums}
#readout b{margin-right:.15rem}#readout span{display:inline-block;margin-right:1.1rem}
.row{display:grid;grid-template-columns:var(--label) minmax(0,1fr)}
.plot{margin:1.1rem 0;break-inside:avoid}
.plot figcaption{margin-bottom:.45rem}.plot figcaption p{color:var(--soft);font-size:.85rem}
.labels{color:var(--soft);font-size:.85rem;padding-right:.6rem;min-width:0}
.name{overflow:hidden;text-overflow:ellipsis;white-space:nowrap;display:flex;align-items:center;justify-content:flex-end;color:var(--ink)}
.name bdi{overflow:hidden;text-overflow:ellipsis}
#partitions .name{font-size:.72rem}
.area{display:block;width:100%;overflow:visible;touch-action:pan-y;cursor:crosshair}
.area svg{overflow:visible}
.area text{fill:var(--soft);font-size:12px}
.grid{stroke:var(--line)}.base{stroke:var(--strong)}
.stripe{fill:var(--stripe)}
.legend{list-style:none;display:flex;flex-wrap:wrap;gap:.1rem 1rem;margin:.25rem 0 0;padding:0;font-size:.82rem;color:var(--soft)}
.legend li{display:flex;align-items:center;gap:.35rem;overflow-wrap:anywhere}.legend svg{flex:none}
.online{fill:var(--blue)}.offline{fill:var(--grey)}.asleep{fill:url(#dots)}.crashed{fill:url(#hatch)}
.hatch-ground{fill:var(--card)}.hatch-line{stroke:var(--red);stroke-width:6}.dots-ground{fill:var(--purple)}.dots-dot{fill:var(--card)}
.writes{stroke:var(--ink);fill:none;stroke-width:1.2;vector-effect:non-scaling-stroke;opacity:.75}
.mark path,.legend [class^=mark]{fill:none;stroke:var(--ink);stroke-width:2;stroke-linejoin:round}
.mark .halo{stroke:var(--card);stroke-width:5;opacity:.9}
.mark .mark-crash,.legend .mark-crash{stroke:var(--red);stroke-width:2.6}
.mark .mark-restart,.legend .mark-restart{fill:var(--green);stroke:var(--ink);stroke-width:1}
.mark .mark-clock,.legend .mark-clock{fill:var(--yellow);stroke:var(--ink);stroke-width:1}
.mark .mark-join,.legend .mark-join,.mark .mark-leave,.legend .mark-leave{fill:var(--card);stroke:var(--ink);stroke-width:1.4}
.mark .mark-way{fill:var(--card);stroke:var(--ink);stroke-width:1.3}
.failure-mark line{stroke:var(--bad);stroke-width:1.5;stroke-dasharray:5 3}.failure-mark circle{fill:none;stroke:var(--bad);stroke-width:2.5}
.failure-mark:target line,.failure-mark:target circle{stroke-width:4}
.together{fill:var(--stripe);stroke:var(--line)}
.group-0{fill:var(--blue)}.group-1{fill:var(--orange)}.group-2{fill:var(--green)}.group-3{fill:var(--purple)}.group-4{fill:var(--sky)}.group-5{fill:var(--yellow)}.unnamed{fill:var(--strong)}
.area .letter{fill:var(--letter);font-weight:700;font-size:11px}
.loss{fill:var(--red);opacity:.55}
.curve{fill:none;stroke-width:2;vector-effect:non-scaling-stroke;stroke-linejoin:round}
.written{stroke:var(--ink);stroke-dasharray:6 4}.median{stroke:var(--blue);stroke-width:2.5}.band{fill:var(--blue);opacity:.22}
.complete{stroke:var(--green)}.complete-area{fill:var(--green);opacity:.18}
.kind-0{fill:var(--blue);--swatch:var(--blue)}.kind-1{fill:var(--orange);--swatch:var(--orange)}.kind-2{fill:var(--green);--swatch:var(--green)}.kind-3{fill:var(--purple);--swatch:var(--purple)}
.kind-4{fill:var(--sky);--swatch:var(--sky)}.kind-5{fill:var(--yellow);--swatch:var(--yellow)}.kind-6{fill:var(--grey);--swatch:var(--grey)}
#sent path{stroke:var(--card);stroke-width:.7;vector-effect:non-scaling-stroke}
.swatch{display:inline-block;width:.8rem;height:.8rem;border-radius:2px;vertical-align:-1px;background:var(--swatch)}
.as-text{font-size:.85rem;margin:.1rem 0 0 var(--label)}
.scroll{overflow:auto;max-width:100%}.tall{max-height:30rem;border:1px solid var(--line);border-radius:8px;background:var(--card)}
table{border-collapse:collapse;width:100%;font-size:.88rem;font-variant-numeric:tabular-nums}
caption{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
th,td{text-align:left;padding:.25rem .7rem;border-bottom:1px solid var(--line);vertical-align:top}
td:last-child{overflow-wrap:anywhere}#event-rows td:last-child{width:60%}
th{font-weight:600}tbody th{font-weight:500;white-space:nowrap}thead th{color:var(--soft);font-weight:500;white-space:nowrap}.tall thead th{position:sticky;top:0;background:var(--card);z-index:1}
.number{text-align:right;white-space:nowrap}td ul{margin:0;padding:0;list-style:none}
#traffic-title+.scroll{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:.3rem .5rem}
.filter{display:flex;flex-wrap:wrap;gap:.6rem 1.2rem;align-items:center;margin-bottom:.75rem;font-size:.9rem}
fieldset{border:0;padding:0;margin:0;display:flex;flex-wrap:wrap;gap:.35rem .4rem;align-items:center;flex-basis:100%}
legend{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
.chip{display:inline-flex;gap:.3rem;align-items:center;border:1px solid var(--line);border-radius:99px;padding:.05rem .65rem;background:var(--card)}.chip small{color:var(--soft)}
input[type=search],select{font:inherit;padding:.15rem .4rem;border:1px solid var(--strong);border-radius:6px;background:var(--card);color:var(--ink);max-width:12rem}
input[type=checkbox]{accent-color:var(--blue);margin:0}
#matching{color:var(--soft)}
html:not(.scripted) .needs-script{display:none}
@media(max-width:640px){:root{--label:4.6rem}main{padding:.75rem}.tick.odd{display:none}#plots{padding:0 .6rem .4rem}#moment{margin:0 -.6rem;padding:.4rem .6rem}
#cursor{left:calc(.6rem + var(--label) + (100% - 1.2rem - var(--label))*var(--at,0))}
.labels{font-size:.75rem;padding-right:.4rem}.area text{font-size:10.5px}.area .level{font-size:9.5px}h1{font-size:1.6rem}.verdict{padding:1rem}.sign{width:44px;height:44px}
.figures{grid-template-columns:repeat(2,1fr)}.as-text{margin-left:0}th,td{padding:.25rem .4rem}#readout span{margin-right:.7rem}.bar{display:none}}
@media print{:root{--ground:#fff;--card:#fff}body{font-size:11px}main{max-width:none;padding:0}#moment,#cursor,.filter,#copy,.message{display:none}.tall{max-height:none;border:0}
*{print-color-adjust:exact;-webkit-print-color-adjust:exact}.verdict,.figures{break-inside:avoid}tr{break-inside:avoid}}
`)
