"""Function words by language, folded (no accents, ß as ss). Questions lose them; indexes keep them.

They also tell the language of a short question, so each list has the words that questions start with.
"""

from __future__ import annotations

_LISTS: dict[str, str] = {
    "de": """
        ab aber alle allem allen aller alles als also am an ander andere anderem anderen anderer anderes anders auch
        auf aus ausser bei beim bereits bin bis bist bitte bzw da dabei dadurch dafur dagegen daher dahin damit danach
        daneben dann daran darauf daraus darf darin daruber darum darunter das dass davon davor dazu dein deine
        deinem deinen deiner dem demnach den denen denn dennoch der deren derer des deshalb dessen desto die dies
        diese diesem diesen dieser dieses dir doch dort du durch durfen ebenfalls ebenso eher eigentlich ein eine
        einem einen einer eines einige einigem einigen einiger einiges einmal er es etc etwa etwas euch euer eure
        falls fur gab ganz gar gegen gegenuber gehoren gehort gerade gern gewesen gib gibt gilt habe haben hat hatte
        hatten hattest her hier hierbei hierfur hin hinter ich ihm ihn ihnen ihr ihre ihrem ihren ihrer ihres im
        immer in indem ins insbesondere innerhalb ist ja je jede jedem jeden jeder jedes jedoch jemand jene jenem
        jenen jener jenes jetzt kann kannst kein keine keinem keinen keiner keines konnen konnte konnten lassen
        lasst man manche manchem manchen mancher manches mehr mein meine meinem meinen meiner mich mir mit mittels
        muss mussen musste mussten nach nachdem nachher nahm nahmen namlich neben nicht nichts noch nun nur ob oder
        ohne pro schon sehr sei seid sein seine seinem seinen seiner seines seit selber selbst sich sie siehe sind so
        sobald sofern solch solche solchem solchen solcher sollen sollte sollten soll somit sondern sonst soweit sowie
        sowohl statt trotz uber um und uns unser unsere unserem unseren unter viel vom von vor wahrend wann war ware
        waren warum was weder wegen weil welche welchem welchen welcher welches wem wen wenn wer werde werden wessen
        weshalb wie wieder wieso will wir wird wirst wo wobei wodurch wofur woher wohin wollen womit woran worauf
        woraus worin woruber worum wozu wurde wurden wurdest zu zum zur zwar zwischen zufolge
        fuer ueber koennen koennte muessen duerfen wuerde wuerden waere waehrend gegenueber
    """,
    "en": """
        a about above after again against all also although am among an and another any anybody anyone anything are
        arent as at be because been before being below between both but by can cannot cant could couldnt did didnt do
        does doesnt doing done dont during each either else ever every everyone everything few for from further get
        gets give given gives had hadnt has hasnt have havent having he her here hers herself him himself his how
        however i if im in into is isnt it its itself ive just ll let lets many may me might more most much must my
        myself neither no nor not of off on once one only onto or other others our ours ourselves out over own per
        please rather re same say says shall she should shouldnt since so some somebody someone something still such
        tell than that thats the their theirs them themselves then there thereby therefore these they thing things this
        those though through thus to too toward towards under until up upon us use used using ve very via was wasnt
        we were werent what whatever whats when where whereas wherein whether which while who whom whose why will
        with within without wont would wouldnt yet you your yours yourself yourselves don doesn didn isn wasn aren
    """,
    "fr": """
        a ai alors apres au aucun aussi autre autres aux avant avec avez avoir bien c ca car ce ceci cela ces cet cette
        ceux chaque chez ci comme comment contre d dans de depuis des donc du elle elles en encore entre est et etaient
        etait ete etre eu fait font il ils j je l la laquelle le lequel les lesquels leur leurs lors lui m ma mais me
        meme memes mes moi mon n ne ni non nos notre nous on ont ou par parce pas pendant peut peuvent plus pour
        pourquoi pouvez qu quand que quel quelle quelles quels qui quoi s sa sans se selon sera ses si soit son sont
        sous sur t ta te tes ton tous tout toute toutes tres tu un une vers voici vos votre vous y
    """,
    "es": """
        a al algo algunas algunos ante antes asi aunque bajo bien cada como con contra cual cuales cuando cuanto cuantos
        de del desde donde dos durante e el ella ellas ellos en entre era eran es esa esas ese eso esos esta estaba
        estan estar estas este esto estos fue fueron ha hace haber habia han hasta hay la las le les lo los mas me mi
        mientras muy nada ni no nos nosotros o os otra otras otro otros para pero poco por porque pues puede pueden
        que quien quienes se sea ser si sido sin sobre son su sus tambien tanto te tiene tienen toda todas todo todos
        tras tu un una unas uno unos y ya yo
    """,
    "it": """
        a abbia ad ai agli al alla alle allo anche ancora avere aveva c che chi ci come con contro cosa cui da dagli
        dai dal dalla dalle dallo degli dei del dell della delle dello di dopo dove e ecco ed era erano essere fa fra
        gli ha hai hanno ho i il in io l la le lei li lo loro lui ma mentre mi mia mio ne negli nei nel nell nella
        nelle nello noi non nostro o ogni oppure per perche piu poi puo qual quale quali quando quanti quanto quella
        quelle quelli quello questa queste questi questo se sei si sia siamo sono sta stata stato su sua sue sugli sui
        sul sulla sulle suo suoi tra tu tutti tutto un una uno vi voi
    """,
    "nl": """
        aan achter al alle alleen als altijd ander andere ben bij bijna binnen blijft boven daar daarom dan dat de der
        deze die dit doch doen door dus een eens en er ergens geen geweest haar had hadden heb hebben heeft hem het
        hier hij hoe hun ik in is ja je kan kon kunnen maar mag me meer men met mij mijn moet moeten na naar niet niets
        nog nu of om omdat onder ons onze ook op over te tegen ten ter toch toen tot tussen u uit uw van vanaf veel
        voor waar waarom wanneer want waren was wat we wel welk welke werd werden wie wij wil word worden wordt zal ze
        zelf zich zij zijn zo zonder zou
    """,
    "pt": """
        a ao aos aquela aquele as ate com como da das de dela dele depois do dos e ela elas ele eles em entre era eram
        essa esse esta estao este eu foi foram ha isso isto ja la lhe mais mas me mesmo meu muito na nao nas nem no nos
        o onde os ou para pela pelas pelo pelos pode por porque qual quais quando quem que se sem ser seu seus so
        sobre sua suas tambem te tem um uma voce
    """,
}

STOP_WORDS: dict[str, frozenset[str]] = {language: frozenset(words.split()) for language, words in _LISTS.items()}


def stop_words(language: str) -> frozenset[str]:
    """Empty for a language without a list."""
    return STOP_WORDS.get(language, frozenset())
